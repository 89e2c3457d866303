# lstm_rt._core (pybind11), lstm_rt._stepper, ._stream and ._pool (Cython) and lstm_rt._build_info, installed beside the library
# they link to.
find_package(Python 3.9 REQUIRED COMPONENTS Interpreter Development.Module NumPy)
if(NOT pybind11_DIR AND NOT SKBUILD)
  execute_process(COMMAND "${Python_EXECUTABLE}" -m pybind11 --cmakedir OUTPUT_VARIABLE pybind11_DIR
                  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
set(PYBIND11_FINDPYTHON ON)
find_package(pybind11 3.0 CONFIG REQUIRED)

# Only the C API: the modules see what any application sees.
function(lrt_python_module name)
  target_link_libraries(${name} PRIVATE lstm_rt)
  target_compile_features(${name} PRIVATE cxx_std_17)
  set_target_properties(${name} PROPERTIES INSTALL_RPATH "$ORIGIN/lib" CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  if(name STREQUAL "_stepper") # which every step passes through
    target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O2>)
  else()
    target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-Os>)
  endif()
  if(APPLE)
    set_target_properties(${name} PROPERTIES INSTALL_RPATH "@loader_path/lib")
  endif()
  install(TARGETS ${name} LIBRARY DESTINATION lstm_rt)
endfunction()

pybind11_add_module(_core MODULE src/python/module.cpp)
target_link_libraries(_core PRIVATE lstm_rt_warnings)
# Cython's modules are for one interpreter too.
target_compile_definitions(_core PRIVATE PYBIND11_HAS_SUBINTERPRETER_SUPPORT=0)
lrt_python_module(_core)

# Cython writes the module's C++; its code is not ours to warn about.
file(GLOB cython_declarations CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/lstm_rt/*.pxd")
function(lrt_cython_module name)
  set(cpp "${PROJECT_BINARY_DIR}/${name}.cpp")
  add_custom_command(
    OUTPUT "${cpp}"
    COMMAND "${Python_EXECUTABLE}" -m cython -3 --cplus -X freethreading_compatible=True lstm_rt/${name}.pyx --output-file "${cpp}"
    DEPENDS "${PROJECT_SOURCE_DIR}/lstm_rt/${name}.pyx" ${cython_declarations}
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    COMMENT "Cython: lstm_rt/${name}.pyx"
    VERBATIM)
  add_library(${name} MODULE "${cpp}")
  target_link_libraries(${name} PRIVATE Python::Module Python::NumPy)
  target_compile_definitions(${name} PRIVATE NPY_NO_DEPRECATED_API=NPY_1_7_API_VERSION)
  pybind11_extension(${name})
  lrt_python_module(${name})
endfunction()

lrt_cython_module(_stepper)
lrt_cython_module(_stream)
lrt_cython_module(_pool)

execute_process(COMMAND "${Python_EXECUTABLE}" -m cython --version OUTPUT_VARIABLE cython_version ERROR_VARIABLE cython_version
                OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_STRIP_TRAILING_WHITESPACE)
string(REGEX MATCH "[0-9]+\\.[0-9.]+[0-9a-z]*" cython_version "${cython_version}")
string(TOUPPER "${CMAKE_BUILD_TYPE}" build_type)
string(STRIP "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${build_type}} ${numeric_flags}" flags)
list(TRANSFORM kernel_targets REPLACE "^lrt_kernels_" "" OUTPUT_VARIABLE isas)
list(JOIN isas "\", \"" isas)
file(CONFIGURE OUTPUT _build_info.py @ONLY CONTENT "\"\"\"How this copy was built; written by CMake.\"\"\"

from __future__ import annotations

BUILD_INFO: dict[str, object] = {
    \"version\": \"@LSTM_RT_VERSION@\",
    \"compiler\": \"@CMAKE_CXX_COMPILER_ID@ @CMAKE_CXX_COMPILER_VERSION@\",
    \"flags\": \"@flags@\",
    \"build_type\": \"@CMAKE_BUILD_TYPE@\",
    \"sanitize\": \"@LSTM_RT_SANITIZE@\",
    \"system\": \"@CMAKE_SYSTEM_NAME@ @CMAKE_SYSTEM_PROCESSOR@\",
    \"isas\": [\"@isas@\"],
    \"python\": \"@Python_VERSION@\",
    \"pybind11\": \"@pybind11_VERSION@\",
    \"cython\": \"@cython_version@\",
    \"numpy\": \"@Python_NumPy_VERSION@\",
}
")
install(FILES "${PROJECT_BINARY_DIR}/_build_info.py" DESTINATION lstm_rt)
