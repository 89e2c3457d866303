// armv7_neon with the fused multiply-add of VFPv4 (Cortex-A7, A15, and every ARMv8 that runs 32-bit code): the same bits as
// the other headers that have one.
#pragma once

#define LRT_HAS_FMA 1
#define LRT_OWN_FMA
#include "kernels/vec/armv7_neon.h"
