// Many streams of one model stepped in any subset as one batch. Each keeps its own state; its bits are those of a stream
// stepped alone, since the rows of a batch are independent.
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "session/batches.h"

namespace lrt {

class Pool {
 public:
  // Throws Error: unsupported where the model cannot be streamed, or has no batch axis.
  Pool(std::shared_ptr<Model> model, const StreamOptions& options, size_t capacity);

  const StreamSetup& setup() const { return setup_; }
  size_t capacity() const { return slots_.size(); }
  size_t size() const { return open_; }  // from any thread

  // No id is given twice.
  int64_t open();
  void close(int64_t id);
  void reset(int64_t id);

  struct State {
    std::string name;
    DType dtype;
    Shape shape;
    std::shared_ptr<const void> initial;
    size_t offset;  // in the memory of its stream
    size_t bytes() const { return static_cast<size_t>(shape.elements()) * size_of(dtype); }
  };
  const std::vector<State>& states() const { return states_; }
  const void* state_data(int64_t id, size_t state) const { return memory_of(slot_of(id)) + states_[state].offset; }
  void set_state(int64_t id, size_t state, DType dtype, const Shape& shape, const void* data);

  // Plans for frames of these shapes, which have `rows` rows; any number of rows can be stepped afterwards. What was
  // planned for the shapes used last is kept.
  void prepare(const std::vector<PlanInput>& frames, size_t rows);
  const PoolBatches* prepared() const { return prepared_.empty() ? nullptr : prepared_.front().batches.get(); }
  const std::vector<int>& input_axes() const { return axes_; }
  // Once prepared. Throws Error, with nothing changed, where an id is not open or is there twice.
  void step(const int64_t* ids, size_t rows, const void* const* inputs, void* const* outputs);

 private:
  struct Slot {
    int64_t id;  // of the stream in it, or of the one that will be opened in it
    bool open;
    uint64_t step;  // the last one it took part in
  };
  struct Prepared {
    std::vector<PlanInput> frames;  // of one row
    std::unique_ptr<PoolBatches> batches;
  };

  void make_states(const std::vector<PlannedState>& planned);
  void check_states(const std::vector<PlannedState>& planned);
  void start(size_t slot);
  size_t slot_of(int64_t id) const;
  [[noreturn]] void refuse_id(int64_t id) const;
  char* memory_of(size_t slot) const { return memory_.as<char>() + slot * slot_bytes_; }

  std::vector<PlanInput> one_row(const std::vector<PlanInput>& frames, size_t rows, const std::vector<int>& axes) const;
  std::vector<std::vector<int>> candidate_axes(const std::vector<PlanInput>& frames, size_t rows) const;
  std::unique_ptr<PoolBatches> find_axes(const std::vector<PlanInput>& frames, size_t rows);

  const StreamSetup setup_;
  std::vector<Slot> slots_;
  std::vector<size_t> free_;  // slots that are not open, the next to be opened last
  std::atomic<size_t> open_{0};
  std::vector<State> states_;
  AlignedBuffer memory_;  // of all slots
  size_t slot_bytes_ = 0;
  bool fresh_ = true;  // no step was taken and no state set
  uint64_t steps_ = 0;
  std::vector<char*> rows_;  // of a step: the memory of each stream

  std::vector<int> axes_;         // of the rows, per input of a step; empty before any frames were seen
  std::list<Prepared> prepared_;  // used last first
};

}  // namespace lrt
