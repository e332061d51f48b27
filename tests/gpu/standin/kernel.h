// What a kernel in CUDA C++ needs to be compiled for the processor. It stands before the kernel's own text, whose
// headers are empty files in `include`. No header of the C++ library: they would take longer than the kernel.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// ---- Where a thread is, and how it meets others. The first two are as in driver.cpp.

struct uint3 { unsigned x, y, z; };
typedef uint3 dim3;
static inline uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }
struct StandinPlace { uint3 thread, block, block_size, grid; };
struct StandinMeeting { void (*of_block)(); void (*of_warp)(); void *(*slot)(unsigned lane); unsigned (*lanes)(); };
#define STANDIN_SHARED_BYTES (256 << 10)
extern "C" {
StandinPlace standin_place;
StandinMeeting standin_meeting;
size_t standin_shared_bytes = STANDIN_SHARED_BYTES;
__attribute__((aligned(1024))) unsigned char dynamic_shared_mem[STANDIN_SHARED_BYTES];
}
#define threadIdx standin_place.thread
#define blockIdx standin_place.block
#define blockDim standin_place.block_size
#define gridDim standin_place.grid
#define warpSize 32
#define __global__
#define __device__
#define __host__
#define __shared__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __grid_constant__
#define __align__(bytes) __attribute__((aligned(bytes)))

static inline unsigned standin_thread_in_block() {
    const StandinPlace &at = standin_place;
    return at.thread.x + at.block_size.x * (at.thread.y + at.block_size.y * at.thread.z);
}
static inline unsigned standin_lane() { return standin_thread_in_block() % 32; }

// ---- Types with several parts.

template <class A, class B> struct StandinSame { static constexpr bool value = false; };
template <class A> struct StandinSame<A, A> { static constexpr bool value = true; };

#define STANDIN_PARTS(type, name) \
    struct __align__(2 * sizeof(type)) name##2 { type x, y; }; \
    struct name##3 { type x, y, z; }; \
    struct __align__(sizeof(type) > 4 ? 16 : 4 * sizeof(type)) name##4 { type x, y, z, w; };
STANDIN_PARTS(float, float)
STANDIN_PARTS(double, double)
STANDIN_PARTS(signed char, char)
STANDIN_PARTS(unsigned char, uchar)
STANDIN_PARTS(short, short)
STANDIN_PARTS(unsigned short, ushort)
STANDIN_PARTS(int, int)
STANDIN_PARTS(long, long)
STANDIN_PARTS(unsigned long, ulong)
struct __align__(8) uint2 { unsigned x, y; };
struct __align__(16) uint4 { unsigned x, y, z, w; };

// ---- Numbers of half a word. Arithmetic is in single precision and rounded after each operation, as on a card.

static inline float standin_of_bits(uint32_t bits) { float value; memcpy(&value, &bits, 4); return value; }
static inline uint32_t standin_bits(float value) { uint32_t bits; memcpy(&bits, &value, 4); return bits; }

struct StandinBrain {
    uint16_t bits;
    StandinBrain() = default;
    StandinBrain(float value) {
        uint32_t whole = standin_bits(value);
        bool is_nan = value != value;
        bits = is_nan ? 0x7fff : (whole + 0x7fff + (whole >> 16 & 1)) >> 16;
    }
    operator float() const { return standin_of_bits((uint32_t)bits << 16); }
};
struct StandinHalf {
    _Float16 value;
    StandinHalf() = default;
    StandinHalf(float other) : value((_Float16)other) {}
    operator float() const { return (float)value; }
};
typedef StandinBrain __nv_bfloat16;
typedef StandinHalf __half;
#define STANDIN_SHORT(type, pair) \
    struct __align__(4) pair { type x, y; pair() = default; pair(type a, type b) : x(a), y(b) {} }; \
    static inline type operator+(type a, type b) { return type((float)a + (float)b); } \
    static inline type operator-(type a, type b) { return type((float)a - (float)b); } \
    static inline type operator*(type a, type b) { return type((float)a * (float)b); } \
    static inline type operator/(type a, type b) { return type((float)a / (float)b); } \
    static inline type operator-(type a) { return type(-(float)a); } \
    static inline type &operator+=(type &a, type b) { return a = a + b; } \
    static inline type &operator*=(type &a, type b) { return a = a * b; } \
    static inline bool operator<(type a, type b) { return (float)a < (float)b; } \
    static inline bool operator>(type a, type b) { return (float)a > (float)b; } \
    static inline bool operator==(type a, type b) { return (float)a == (float)b; }
STANDIN_SHORT(__nv_bfloat16, __nv_bfloat162)
STANDIN_SHORT(__half, __half2)
static inline float __bfloat162float(__nv_bfloat16 value) { return value; }
static inline __nv_bfloat16 __float2bfloat16(float value) { return value; }
static inline __nv_bfloat16 __float2bfloat16_rn(float value) { return value; }
static inline float __half2float(__half value) { return value; }
static inline __half __float2half(float value) { return value; }

// ---- Functions of numbers. Those of floats are computed in single precision.

#define STANDIN_FUNCTION(name) \
    static inline float name(float value) { return __builtin_##name##f(value); } \
    static inline double name(double value) { return __builtin_##name(value); }
#define STANDIN_FAST(name, of) static inline float name(float value) { return __builtin_##of##f(value); }
#define STANDIN_ALL_FUNCTIONS(each)                                                                                    \
    each(exp) each(exp2) each(log) each(log2) each(log10) each(log1p) each(expm1) each(sqrt) each(tanh) each(sin)      \
        each(cos) each(tan) each(erf) each(floor) each(ceil) each(round) each(trunc) each(fabs) each(cbrt) each(rint)
namespace standin { STANDIN_ALL_FUNCTIONS(STANDIN_FUNCTION) }
// The built-in names take doubles: a macro, so that floats reach their own.
#define exp standin::exp
#define exp2 standin::exp2
#define log standin::log
#define log2 standin::log2
#define log10 standin::log10
#define log1p standin::log1p
#define expm1 standin::expm1
#define sqrt standin::sqrt
#define tanh standin::tanh
#define sin standin::sin
#define cos standin::cos
#define tan standin::tan
#define erf standin::erf
#define floor standin::floor
#define ceil standin::ceil
#define round standin::round
#define trunc standin::trunc
#define fabs standin::fabs
#define cbrt standin::cbrt
#define rint standin::rint
STANDIN_FAST(__expf, exp)
STANDIN_FAST(__logf, log)
STANDIN_FAST(__sinf, sin)
STANDIN_FAST(__cosf, cos)
STANDIN_FAST(__tanhf, tanh)
STANDIN_FAST(__fsqrt_rn, sqrt)
static inline float abs(float value) { return __builtin_fabsf(value); }
static inline double abs(double value) { return __builtin_fabs(value); }
static inline int abs(int value) { return value < 0 ? -value : value; }
static inline float pow(float base, float power) { return __builtin_powf(base, power); }
static inline float powf(float base, float power) { return __builtin_powf(base, power); }
static inline float __powf(float base, float power) { return __builtin_powf(base, power); }
static inline float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
static inline double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
static inline float fmodf(float a, float b) { return __builtin_fmodf(a, b); }
static inline float fmod(float a, float b) { return __builtin_fmodf(a, b); }
static inline float rsqrt(float value) { return 1.0f / __builtin_sqrtf(value); }
static inline float __frsqrt_rn(float value) { return 1.0f / __builtin_sqrtf(value); }
static inline float __frcp_rn(float value) { return 1.0f / value; }
static inline float __fdividef(float a, float b) { return a / b; }
static inline bool isnan(float value) { return value != value; }
static inline bool isinf(float value) { return __builtin_isinf(value); }
// Of a number and a NaN, the number.
template <class A, class B> static inline auto max(A a, B b) -> decltype(a + b) {
    decltype(a + b) x = a, y = b;
    return x != x || x < y ? y : x;
}
template <class A, class B> static inline auto min(A a, B b) -> decltype(a + b) {
    decltype(a + b) x = a, y = b;
    return x != x || y < x ? y : x;
}
static inline unsigned __umulhi(unsigned a, unsigned b) { return (uint64_t)a * b >> 32; }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned __int128)a * b >> 64;
}
static inline int __clz(int value) { return value ? __builtin_clz(value) : 32; }
static inline int __ffs(int value) { return __builtin_ffs(value); }
static inline int __popc(unsigned value) { return __builtin_popcount(value); }
template <class T> static inline T __ldg(const T *from) { return *from; }
// One thread runs at a time.
template <class T> static inline T atomicAdd(T *at, T value) { T before = *at; *at = before + value; return before; }
static inline void __threadfence() {}
[[noreturn]] static inline void __trap() { __builtin_trap(); }

// ---- Meetings. A warp exchanges values through a slot of each lane.

static inline void __syncthreads() { standin_meeting.of_block(); }
static inline void __syncwarp(unsigned = ~0u) { standin_meeting.of_warp(); }
template <class T> static inline T standin_from_lane(T value, unsigned lane) {
    static_assert(sizeof value <= 64, "a slot has 64 bytes");
    memcpy(standin_meeting.slot(standin_lane()), &value, sizeof value);
    __syncwarp();
    memcpy(&value, standin_meeting.slot(lane % 32), sizeof value);
    __syncwarp();
    return value;
}
template <class T> static inline T __shfl_sync(unsigned, T value, int lane) { return standin_from_lane(value, lane); }
template <class T> static inline T __shfl_xor_sync(unsigned, T value, int bits) {
    return standin_from_lane(value, standin_lane() ^ bits);
}
template <class T> static inline T __shfl_up_sync(unsigned, T value, unsigned by) {
    unsigned lane = standin_lane();
    return standin_from_lane(value, lane < by ? lane : lane - by);
}
template <class T> static inline T __shfl_down_sync(unsigned, T value, unsigned by) {
    unsigned lane = standin_lane();
    return standin_from_lane(value, lane + by < 32 ? lane + by : lane);
}
static inline unsigned __ballot_sync(unsigned, int holds) {
    unsigned bits = 0, n_lanes = standin_meeting.lanes();
    *(int *)standin_meeting.slot(standin_lane()) = holds != 0;
    __syncwarp();
    for (unsigned lane = 0; lane < n_lanes; lane++) bits |= (unsigned)*(int *)standin_meeting.slot(lane) << lane;
    __syncwarp();
    return bits;
}
static inline int __any_sync(unsigned mask, int holds) { return __ballot_sync(mask, holds) != 0; }
static inline int __all_sync(unsigned mask, int holds) { return __ballot_sync(mask, !holds) == 0; }

// ---- Tensor cores. A fragment is a whole matrix in the hands of the warp's first lane, which computes for all.

namespace nvcuda { namespace wmma {
struct matrix_a; struct matrix_b; struct accumulator; struct row_major; struct col_major;
enum layout_t { mem_row_major, mem_col_major };
namespace precision { struct tf32; }
template <class T> struct standin_stored { typedef T type; };
template <> struct standin_stored<precision::tf32> { typedef float type; };

// To the nearest of 10 bits of mantissa, halves away from zero.
static inline float __float_to_tf32(float value) {
    uint32_t bits = standin_bits(value);
    bool is_finite = (bits >> 23 & 0xff) != 0xff;
    return is_finite ? standin_of_bits((bits + (1u << 12)) & ~0x1fffu) : value;
}

template <class Use, int M, int N, int K, class T, class Layout = void> struct fragment {
    typedef typename standin_stored<T>::type type;
    static constexpr int n_rows = StandinSame<Use, matrix_b>::value ? K : M;
    static constexpr int n_columns = StandinSame<Use, matrix_a>::value ? K : N;
    static constexpr int num_elements = n_rows * n_columns;
    static constexpr bool is_tf32 = StandinSame<T, precision::tf32>::value;
    type x[num_elements];
};

// The place in memory of an element.
template <class Fragment> static inline int standin_offset(int idx, unsigned stride, bool by_rows) {
    int row = idx / Fragment::n_columns, column = idx % Fragment::n_columns;
    return by_rows ? row * stride + column : column * stride + row;
}
template <class Fragment, class P>
static inline void standin_load(Fragment &to, const P *from, unsigned stride, bool by_rows) {
    __syncwarp();
    if (standin_lane() == 0)
        for (int idx = 0; idx < Fragment::num_elements; idx++)
            to.x[idx] = from[standin_offset<Fragment>(idx, stride, by_rows)];
    __syncwarp();
}
template <class Fragment, class V> static inline void fill_fragment(Fragment &to, V value) {
    for (auto &element : to.x) element = value;
}
template <class Use, int M, int N, int K, class T, class Layout, class P>
static inline void load_matrix_sync(fragment<Use, M, N, K, T, Layout> &to, const P *from, unsigned stride) {
    standin_load(to, from, stride, StandinSame<Layout, row_major>::value);
}
template <int M, int N, int K, class T, class P> static inline void
load_matrix_sync(fragment<accumulator, M, N, K, T> &to, const P *from, unsigned stride, layout_t layout) {
    standin_load(to, from, stride, layout == mem_row_major);
}
template <int M, int N, int K, class T, class P> static inline void
store_matrix_sync(P *to, const fragment<accumulator, M, N, K, T> &from, unsigned stride, layout_t layout) {
    typedef fragment<accumulator, M, N, K, T> Fragment;
    __syncwarp();
    if (standin_lane() == 0)
        for (int idx = 0; idx < Fragment::num_elements; idx++)
            to[standin_offset<Fragment>(idx, stride, layout == mem_row_major)] = from.x[idx];
    __syncwarp();
}
// What the multiplier sees of an element: it has no more bits than TF32 for one.
template <class Fragment> static inline float standin_operand(const Fragment &from, int idx) {
    float value = (float)from.x[idx];
    return Fragment::is_tf32 ? standin_of_bits(standin_bits(value) & ~0x1fffu) : value;
}
template <int M, int N, int K, class TD, class TA, class LA, class TB, class LB, class TC>
static inline void mma_sync(fragment<accumulator, M, N, K, TD> &sum, const fragment<matrix_a, M, N, K, TA, LA> &a,
                            const fragment<matrix_b, M, N, K, TB, LB> &b,
                            const fragment<accumulator, M, N, K, TC> &before) {
    if (standin_lane() != 0) return;
    float right[K * N], row[N];
    for (int idx = 0; idx < K * N; idx++) right[idx] = standin_operand(b, idx);
    for (int m = 0; m < M; m++) {
        for (int n = 0; n < N; n++) row[n] = (float)before.x[m * N + n];
        for (int k = 0; k < K; k++) {
            float left = standin_operand(a, m * K + k);
            for (int n = 0; n < N; n++) row[n] += left * right[k * N + n];
        }
        for (int n = 0; n < N; n++) sum.x[m * N + n] = row[n];
    }
}
}} // namespace nvcuda::wmma
using nvcuda::wmma::__float_to_tf32;

// ---- The ways into a kernel, whose arguments come as pointers to them.

template <class T> struct StandinPlain { typedef T type; };
template <class T> struct StandinPlain<const T> { typedef T type; };
template <class... Arguments> struct StandinCall {
    template <size_t... Places> struct List {};
    template <size_t N, size_t... Places> struct Count : Count<N - 1, N - 1, Places...> {};
    template <size_t... Places> struct Count<0, Places...> { typedef List<Places...> type; };
    template <size_t... Places> static inline void at(void (*kernel)(Arguments...), void **given, List<Places...>) {
        kernel(*(typename StandinPlain<Arguments>::type *)given[Places]...);
    }
    static inline void with(void (*kernel)(Arguments...), void **given) {
        at(kernel, given, typename Count<sizeof...(Arguments)>::type());
    }
};
template <class... Arguments> static inline void standin_call(void (*kernel)(Arguments...), void **given) {
    StandinCall<Arguments...>::with(kernel, given);
}
// `standin_block` runs the threads of a block that meet nobody one after the other.
#define STANDIN_KERNEL(kernel, meets) \
    extern "C" { \
    int standin_meets = meets; \
    void standin_thread(void **given) { standin_call(&kernel, given); } \
    void standin_block(void **given) { \
        uint3 size = standin_place.block_size; \
        for (unsigned z = 0; z < size.z; z++) \
            for (unsigned y = 0; y < size.y; y++) \
                for (unsigned x = 0; x < size.x; x++) { \
                    standin_place.thread = {x, y, z}; \
                    standin_call(&kernel, given); \
                } \
    } \
    }
