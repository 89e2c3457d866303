# The harness for libFuzzer, where everything is built with -DLSTM_RT_SANITIZE=fuzzer-no-link,… by clang (dev.py fuzz).
if(LSTM_RT_SANITIZE MATCHES "fuzzer-no-link")
  lstm_rt_program(fuzz_load_plan_run "${CMAKE_CURRENT_LIST_DIR}/load_plan_run.cpp")
  target_link_options(fuzz_load_plan_run PRIVATE -fsanitize=fuzzer)
endif()
