// The runs of a pool: rows of many streams gathered into batches of a few fixed sizes, run, and scattered back.
#pragma once

#include <memory>
#include <vector>

#include "session/rows.h"
#include "session/setup.h"

namespace lrt {

// Plans and memory for frames of one shape: an Execution for each of a few batch sizes.
class PoolBatches {
 public:
  // frames: those of one row. axes: of the rows, per input of a step. Throws Error where an output or a state has no
  // such axis, or rows are not independent.
  PoolBatches(const StreamSetup& setup, const std::vector<PlanInput>& frames, const std::vector<int>& axes,
              size_t capacity);

  const std::vector<RowLayout>& outputs() const { return outputs_; }
  const std::vector<PlannedState>& planned_states() const { return one_->states; }
  uint64_t macs() const { return one_->macs(); }  // of one row

  // Row i of the arrays belongs to the stream whose states are in memory at states[i]. An output may be null.
  void step(char* const* states, size_t rows, const void* const* inputs, void* const* outputs);

 private:
  struct Batch {
    size_t size;
    std::unique_ptr<Execution> execution;
  };
  struct Step {  // the rows of a step that go into one run
    char* const* states;
    size_t first, count, total;
    const void* const* inputs;
    void* const* outputs;
  };

  std::shared_ptr<const Plan> plan(const StreamSetup& setup, std::vector<PlanInput> frames, size_t rows) const;
  void find_layouts(const StreamSetup& setup, const std::vector<PlanInput>& frames, const Plan& two);
  void make_batches(const StreamSetup& setup, const std::vector<PlanInput>& frames, size_t capacity);
  void choose_runs(size_t capacity);
  void check_rows();

  void run(Batch& batch, const Step& step);
  void gather(const Batch& batch, const Step& step);
  void scatter(const Batch& batch, const Step& step);

  std::vector<int> axes_;
  std::shared_ptr<const Plan> one_;  // the plan of a single row
  std::vector<RowLayout> inputs_, outputs_, states_;
  std::vector<Batch> batches_;      // by rising size
  std::vector<uint32_t> next_run_;  // by number of rows left: the batch to run next
  std::vector<AlignedBuffer> input_scratch_, output_scratch_, states_in_, states_out_;
  std::vector<const void*> input_pointers_;
  std::vector<void*> output_pointers_;
};

}  // namespace lrt
