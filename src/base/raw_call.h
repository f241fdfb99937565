// SPDX-License-Identifier: Apache-2.0
// System calls that touch nothing of the C library: no errno, no cancellation point, no memory but what they
// are given. For a process that shares its memory, and with it the thread-local variables, with another one
// which goes on meanwhile; and for who wants the raw call anyway.
#pragma once

#include <cerrno>
#include <type_traits>

#include <sys/syscall.h>
#include <unistd.h>

namespace holdfast {

#if defined(__x86_64__) && !defined(__ILP32__) || defined(__aarch64__)
/// Is raw_call() what it says here? Elsewhere it is syscall(2), which writes errno.
inline constexpr bool has_raw_calls = true;
#else
inline constexpr bool has_raw_calls = false;
#endif

/// What the kernel returns: at least 0, or -errno.
[[gnu::always_inline]] inline long raw_call(long number, long a, long b, long c, long d, long e,
                                            long f) noexcept {
#if defined(__x86_64__) && !defined(__ILP32__)
    long result = 0;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
#else
    long const result = ::syscall(number, a, b, c, d, e, f);
    return result < 0 ? -errno : result;
#endif
}

namespace raw {

[[gnu::always_inline]] inline long argument(void const* pointer) noexcept {
    return reinterpret_cast<long>(pointer);
}
template <typename Number>
requires((std::is_integral_v<Number> || std::is_enum_v<Number>)&&sizeof(Number) <= sizeof(long))
    [[gnu::always_inline]] inline long argument(Number number) noexcept {
    return static_cast<long>(number);
}
[[gnu::always_inline]] inline long argument(decltype(nullptr)) noexcept {
    return 0;
}

} // namespace raw

/// The same for one to six numbers and pointers.
template <typename... Arguments>
[[gnu::always_inline]] inline long raw_call(long number, Arguments... arguments) noexcept {
    static_assert(sizeof...(Arguments) <= 6);
    long all[6] = {raw::argument(arguments)...};
    return raw_call(number, all[0], all[1], all[2], all[3], all[4], all[5]);
}

} // namespace holdfast
