# lrt_add_kernels(target): compiles kernels_impl.cpp once for each instruction set of this processor and adds the objects,
# and the dispatcher, to the target. A new instruction set is one line in lrt_add_kernels (and one row in dispatch.cpp).
set(LRT_KERNELS_DIR "${CMAKE_CURRENT_LIST_DIR}")

# Every result is defined to the bit: no contraction beside the fused multiply-adds that are written out, no -ffast-math.
set(LRT_KERNEL_FLAGS -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math -fno-exceptions -fno-rtti
                     -fno-asynchronous-unwind-tables -fvisibility=hidden)
if(LSTM_RT_SANITIZE)
  list(REMOVE_ITEM LRT_KERNEL_FLAGS -O3) # which takes minutes then; the bits are the same
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND LRT_KERNEL_FLAGS -Wno-maybe-uninitialized -Wno-uninitialized) # false alarms inside its own <immintrin.h>
endif()

# lrt_isa(target name header processors [BASE name] flags…). BASE: the instruction set that everything is taken from but products of
# integers, for one that has better instructions for these alone.
function(lrt_isa target name header processors)
  cmake_parse_arguments(PARSE_ARGV 4 isa "" BASE "")
  if(NOT LRT_PROCESSOR MATCHES "^(${processors})$")
    return()
  endif()
  add_library(lrt_kernels_${name} OBJECT "${LRT_KERNELS_DIR}/kernels_impl.cpp")
  target_include_directories(lrt_kernels_${name} PRIVATE "${LRT_KERNELS_DIR}/..")
  target_compile_features(lrt_kernels_${name} PRIVATE cxx_std_17)
  target_compile_options(lrt_kernels_${name} PRIVATE ${LRT_KERNEL_FLAGS} ${isa_UNPARSED_ARGUMENTS})
  target_compile_definitions(lrt_kernels_${name} PRIVATE
    LRT_ISA=${name} LRT_TABLE=kernels_${name} "LRT_VEC_HEADER=\"kernels/vec/${header}\"")
  if(isa_BASE)
    target_compile_definitions(lrt_kernels_${name} PRIVATE LRT_BASE=kernels_${isa_BASE})
  endif()
  set_target_properties(lrt_kernels_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_sources(${target} INTERFACE $<TARGET_OBJECTS:lrt_kernels_${name}>)
endfunction()

function(lrt_add_kernels target)
  set(LRT_PROCESSOR "${CMAKE_SYSTEM_PROCESSOR}")
  if(CMAKE_OSX_ARCHITECTURES)
    set(LRT_PROCESSOR "${CMAKE_OSX_ARCHITECTURES}")
  endif()
  if(LRT_PROCESSOR MATCHES "^(aarch64|arm64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 4)
    set(LRT_PROCESSOR "armv7l") # a 32-bit system on a 64-bit kernel
  endif()
  set(x86 "x86_64|AMD64|amd64")
  set(arm64 "aarch64|arm64|ARM64")
  set(arm32 "arm|armhf|armv[78].*") # ARMv6 has no NEON, and its own compilers are slow

  set(avx2 -mavx2 -mfma -mf16c)
  set(avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl ${avx2})

  lrt_isa(${target} x86_avx512vnni x86_avx512vnni.h "${x86}" BASE x86_avx512 ${avx512} -mavx512vnni)
  lrt_isa(${target} x86_avx512 x86_avx512.h "${x86}" ${avx512})
  lrt_isa(${target} x86_avxvnni x86_avxvnni.h "${x86}" BASE x86_avx2 ${avx2} -mavxvnni)
  lrt_isa(${target} x86_avx2 x86_avx2.h "${x86}" ${avx2})
  lrt_isa(${target} x86_sse41 x86_sse41.h "${x86}" BASE portable -msse4.1 -Os)
  lrt_isa(${target} arm64_dotprod arm64_dotprod.h "${arm64}" BASE arm64_neon -march=armv8.2-a+dotprod)
  lrt_isa(${target} arm64_neon arm64_neon.h "${arm64}")
  lrt_isa(${target} armv7_vfpv4 armv7_vfpv4.h "${arm32}" -march=armv7-a -mfpu=neon-vfpv4 -mfloat-abi=hard)
  lrt_isa(${target} armv7_neon armv7_neon.h "${arm32}" -march=armv7-a -mfpu=neon -mfloat-abi=hard)
  # Where there are others it is to be small; on 64-bit ARM as small as can be, since it is there to compare with.
  if(LRT_PROCESSOR MATCHES "^(${arm64})$")
    lrt_isa(${target} portable portable.h ".*" -Os -DLRT_SMALL)
  elseif(LRT_PROCESSOR MATCHES "^(${x86}|${arm32})$")
    lrt_isa(${target} portable portable.h ".*" -Os)
  else()
    lrt_isa(${target} portable portable.h ".*")
    target_compile_definitions(${target} PRIVATE LRT_PORTABLE_ONLY) # whatever the compiler says of the processor
  endif()

  target_sources(${target} PRIVATE "${LRT_KERNELS_DIR}/dispatch.cpp")
endfunction()
