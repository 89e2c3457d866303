// Threads, as the ops see them: a piece of work cut in as many parts as there are threads. How it is cut changes no bit.
#pragma once

namespace lrt {

class Parallel {
 public:
  virtual ~Parallel() = default;
  virtual int threads() const = 0;
  // part(0) … part(threads() - 1), each once, at the same time where threads are free; returns when all are done.
  template <class F>
  void run(const F& part) {
    run_parts([](const void* f, int index) { (*static_cast<const F*>(f))(index); }, &part);
  }

 protected:
  virtual void run_parts(void (*part)(const void* context, int index), const void* context) = 0;
};

// Elements [begin, end) of part `index` of `parts` even ones.
struct Range {
  int begin, end;
};
inline Range part_of(int count, int index, int parts) {
  return {static_cast<int>(static_cast<long long>(count) * index / parts),
          static_cast<int>(static_cast<long long>(count) * (index + 1) / parts)};
}

}  // namespace lrt
