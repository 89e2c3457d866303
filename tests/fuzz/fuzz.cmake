# Mutants of models, for which any compiler will do (dev.py fuzz --semantic).
if(UNIX AND NOT APPLE)
  lstm_rt_program(fuzz_mutants "${CMAKE_CURRENT_LIST_DIR}/mutants.cpp")
  set_target_properties(fuzz_mutants PROPERTIES EXCLUDE_FROM_ALL ON)
endif()

# The harness for libFuzzer, where clang builds everything with -DLSTM_RT_SANITIZE=fuzzer-no-link,… (dev.py fuzz).
if(LSTM_RT_SANITIZE MATCHES "fuzzer-no-link")
  lstm_rt_program(fuzz_load_plan_run "${CMAKE_CURRENT_LIST_DIR}/load_plan_run.cpp")
  target_link_options(fuzz_load_plan_run PRIVATE -fsanitize=fuzzer)
  # Kernels have no branches that a file decides; with all of it they take ten minutes to compile.
  set_source_files_properties("${LRT_KERNELS_DIR}/kernels_impl.cpp" PROPERTIES COMPILE_OPTIONS
    "-fno-sanitize=undefined;-fno-sanitize-coverage=inline-8bit-counters,pc-table,trace-cmp,indirect-calls")
endif()
