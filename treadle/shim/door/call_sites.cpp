#include "treadle/shim/door/call_sites.hpp"

#include <emmintrin.h>
#include <sys/syscall.h>

#include <cstring>

namespace treadle::shim {
namespace {

constexpr std::uint32_t jump_bytes = 5;

__m128i load(const std::uint8_t* at) noexcept {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
}
__m128i all(int byte) noexcept { return _mm_set1_epi8(static_cast<char>(byte)); }

// Calls action(at) wherever the two bytes from `at` on match; sixteen at a time, for libc has some
// two million bytes, and every process that starts pays for the look.
template <class Match, class Action>
void for_each_match(const text_range& text, Match&& match, Action&& action) noexcept {
  std::uint8_t* at = text.begin;
  for (; at + 17 <= text.end; at += 16) {
    int found = _mm_movemask_epi8(match(load(at), load(at + 1)));
    for (; found != 0; found &= found - 1) action(at + __builtin_ctz(static_cast<unsigned>(found)));
  }
  // The last few, through a copy that ends with bytes that match nothing.
  std::uint8_t rest[32] = {};
  const auto size = static_cast<std::size_t>(text.end - at);
  std::memcpy(rest, at, size);
  int found = _mm_movemask_epi8(match(load(rest), load(rest + 1)));
  for (; found != 0; found &= found - 1) {
    const auto offset = static_cast<std::size_t>(__builtin_ctz(static_cast<unsigned>(found)));
    if (offset + 1 < size) action(at + offset);
  }
}

// What may stand between the number and the call: bytes with a mask each, from the first one on.
struct between {
  std::uint8_t size;  // of the whole instruction
  std::uint8_t head[3];
  std::uint8_t mask[3];
};
constexpr between allowed_between[] = {
    {2, {0x31, 0xff, 0}, {0xff, 0xff, 0}},        // xor %edi, %edi
    {2, {0x31, 0xf6, 0}, {0xff, 0xff, 0}},        // xor %esi, %esi
    {2, {0x31, 0xd2, 0}, {0xff, 0xff, 0}},        // xor %edx, %edx
    {3, {0x83, 0xc2, 0}, {0xff, 0xff, 0}},        // add $value, %edx
    {4, {0x40, 0x80, 0xf6}, {0xff, 0xff, 0xff}},  // xor $value, %sil
    {4, {0x8b, 0x7c, 0x24}, {0xff, 0xff, 0xff}},  // mov offset(%rsp), %edi
    {4, {0x41, 0x8b, 0x70}, {0xff, 0xff, 0xff}},  // mov offset(%r8), %esi
    {5, {0xba, 0, 0}, {0xff, 0, 0}},              // mov $value, %edx
    {5, {0xbe, 0, 0}, {0xff, 0, 0}},              // mov $value, %esi
    {5, {0xbf, 0, 0}, {0xff, 0, 0}},              // mov $value, %edi
    {7, {0x48, 0x8d, 0xb3}, {0xff, 0xff, 0xff}},  // lea offset(%rbx), %rsi
    {7, {0x48, 0x8d, 0x93}, {0xff, 0xff, 0xff}},  // lea offset(%rbx), %rdx
};

bool matches(const between& one, const std::uint8_t* at) noexcept {
  for (int i = 0; i < 3; ++i) {
    if ((at[i] & one.mask[i]) != one.head[i]) return false;
  }
  return true;
}

std::uint32_t value_at(const std::uint8_t* at) noexcept {
  std::uint32_t value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

// A prefix that makes another register of it: %r8d of %eax.
bool has_prefix(const std::uint8_t* at) noexcept { return (at[-1] & 0xf0) == 0x40; }

// mov $number, %eax
bool is_number(const text_range& text, const std::uint8_t* at) noexcept {
  constexpr std::uint32_t number_max = 1023;  // guess: no libc has a call of a larger number
  // Any other prefix byte is the end of what comes before.
  const bool of_r8 = at > text.begin && (at[-1] & 0xf1) == 0x41;
  return at >= text.begin && at[0] == 0xb8 && value_at(at + 1) <= number_max && !of_r8;
}

// mov %r8d to %r15d, %eax, behind what libc has before it: so it is no other instruction's end.
bool is_copy(const std::uint8_t* at) noexcept {
  if (at[0] != 0x44 || at[1] != 0x89 || (at[2] & 0xc7) != 0xc0) return false;
  const bool no_fourth = at[-3] == 0x45 && at[-2] == 0x31 && at[-1] == 0xd2;  // xor %r10d, %r10d
  const bool second = (at[-5] == 0xbe || at[-5] == 0xbf) && (value_at(at - 4) >> 8) == 0;
  const bool third = at[-2] == 0x89 && at[-1] == 0xc2;  // mov %eax, %edx
  return no_fourth || second || third;
}

bool read_plain(const text_range& text, std::uint8_t* call, call_site& out) noexcept {
  std::uint8_t* found = is_number(text, call - jump_bytes) ? call - jump_bytes : nullptr;
  for (const between& one : allowed_between) {
    std::uint8_t* const at = call - one.size - jump_bytes;
    if (found == nullptr && is_number(text, at) && matches(one, call - one.size)) found = at;
  }
  if (found == nullptr) return false;
  out = {found, call + 2, value_at(found + 1), site_form::plain,
         static_cast<std::uint8_t>(call - found)};
  return true;
}

bool read_site(const text_range& text, std::uint8_t* call, call_site& out) noexcept {
  constexpr std::uint8_t compared[] = {0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff};
  constexpr std::uint8_t wake_all[] = {0xba, 0xff, 0xff, 0xff, 0x7f};
  constexpr std::uint8_t any[] = {0x4c, 0x8b, 0x4c, 0x24, 0x08};
  if (call - 16 < text.begin || call + 8 > text.end) return false;
  if (read_plain(text, call, out)) return true;
  if (std::memcmp(call - 5, any, sizeof(any)) == 0) {
    out = {call - 5, call + 2, call_site::not_known, site_form::any, 5};
  } else if (std::memcmp(call - 5, wake_all, sizeof(wake_all)) == 0 && !has_prefix(call - 5)) {
    out = {call - 5, call + 2, call_site::not_known, site_form::loaded, 5};
  } else if (is_copy(call - 3)) {
    out = {call - 3, call + 2, call_site::not_known, site_form::copied, 3};
  } else if (call[-2] == 0x31 && call[-1] == 0xc0 && !has_prefix(call - 2) &&
             std::memcmp(call + 2, compared, sizeof(compared)) == 0) {
    out = {call - 2, call + 3, SYS_read, site_form::zeroed, 2};
  } else {
    return false;
  }
  return true;
}

// Marks the sites that a jump goes into the middle of; few of many targets are near one.
class targets {
 public:
  targets(call_site* sites, std::size_t count) noexcept : sites_(sites), count_(count) {
    for (std::size_t i = 0; i < count_; ++i) {
      if (!sites_[i].covers_call()) continue;
      set(sites_[i].at);
      set(sites_[i].at + jump_bytes);
    }
  }
  void look(const std::uint8_t* target) noexcept {
    if ((near_[slot(target) / 64] >> slot(target) % 64 & 1) == 0) return;
    for (std::size_t i = 0; i < count_; ++i) {
      call_site& one = sites_[i];
      if (one.covers_call() && target > one.at && target < one.at + jump_bytes) one.kept_bytes = 0;
    }
  }

 private:
  static constexpr std::size_t slots = 8192;
  static std::size_t slot(const std::uint8_t* at) noexcept {
    return (reinterpret_cast<std::uintptr_t>(at) >> 3) % slots;
  }
  void set(const std::uint8_t* at) noexcept {
    near_[slot(at) / 64] |= std::uint64_t{1} << slot(at) % 64;
  }

  call_site* sites_;
  std::size_t count_;
  std::uint64_t near_[slots / 64] = {};
};

}  // namespace

std::size_t find_call_sites(const text_range& text, call_site* out, std::size_t room) noexcept {
  std::size_t count = 0;
  for_each_match(
      text,
      [](__m128i first, __m128i second) noexcept {
        return _mm_and_si128(_mm_cmpeq_epi8(first, all(0x0f)), _mm_cmpeq_epi8(second, all(0x05)));
      },
      [&](std::uint8_t* call) noexcept {
        if (count < room && read_site(text, call, out[count])) ++count;
      });
  return count;
}

std::size_t drop_jumped_into(const text_range& text, call_site* sites, std::size_t count) noexcept {
  targets wanted(sites, count);
  // jmp and call with 32 bits, and jcc: "e9", "e8", "0f 80" to "0f 8f".
  for_each_match(
      text,
      [](__m128i first, __m128i second) noexcept {
        const __m128i direct = _mm_cmpeq_epi8(_mm_and_si128(first, all(0xfe)), all(0xe8));
        const __m128i near = _mm_cmpeq_epi8(_mm_and_si128(second, all(0xf0)), all(0x80));
        return _mm_or_si128(direct, _mm_and_si128(_mm_cmpeq_epi8(first, all(0x0f)), near));
      },
      [&](const std::uint8_t* at) noexcept {
        const std::uint8_t* const operand = at + (at[0] == 0x0f ? 2 : 1);
        if (operand + 4 > text.end) return;
        wanted.look(operand + 4 + static_cast<std::int32_t>(value_at(operand)));
      });
  // Any other byte may be the first of a jump with 8 bits.
  for (std::size_t i = 0; i < count; ++i) {
    if (!sites[i].covers_call()) continue;
    constexpr int reach = 140;
    for (int offset = -reach; offset < reach; ++offset) {
      const std::uint8_t* const at = sites[i].at + offset;
      if (at < text.begin || at + 2 > text.end) continue;
      const bool jumps = (at[0] & 0xf0) == 0x70 || at[0] == 0xeb || (at[0] & 0xfc) == 0xe0;
      if (jumps) wanted.look(at + 2 + static_cast<std::int8_t>(at[1]));
    }
  }
  std::size_t left = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (sites[i].kept_bytes != 0) sites[left++] = sites[i];
  }
  return left;
}

}  // namespace treadle::shim
