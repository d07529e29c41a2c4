#include "treadle/base/cpu_count.hpp"

#include <fcntl.h>
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstddef>

#include "treadle/base/check.hpp"
#include "treadle/base/spin_lock.hpp"
#include "treadle/base/system_call.hpp"

extern "C" {
std::uint32_t treadle_cpu_rows = 0;
}

namespace treadle::base {
namespace {

// Of one CPU and one column.
struct cpu_cells {
  std::int64_t up;
  std::int64_t down;  // 0 and below
};

// A row holds one CPU's cells of all columns: a page, so that no line belongs to two CPUs. Guess:
// no more locks than that are busy at a time; those that come later do without.
constexpr std::size_t row_bytes = 4096;
constexpr std::size_t columns_max = row_bytes / sizeof(cpu_cells);
// Guess: twice the CPUs of any machine. Whoever runs on one beyond them does without.
constexpr std::uint32_t rows_max = 4096;

struct column_pool {
  spin_lock lock;
  // Guarded by lock.
  bool tried = false;
  std::byte* cells = nullptr;
  std::uint64_t lent[columns_max / 64] = {};
};

constinit column_pool pool;

#if defined(TREADLE_CPU_COUNT)
long membarrier(int command) noexcept {
  const int saved = errno;
  const long result = ::syscall(SYS_membarrier, command, 0, 0);
  errno = saved;
  return result;
}
#endif

#if defined(TREADLE_CPU_COUNT)
// How many CPUs there may ever be, also by hot-plugging; 0 when the kernel does not say. Source:
// Linux, Documentation/admin-guide/cputopology.rst: ranges in order, as "0-3" or "0,2-7".
std::uint32_t possible_cpus() noexcept {
  const int saved = errno;
  char text[256];
  ssize_t size = -1;
  const int file = ::open("/sys/devices/system/cpu/possible", O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    size = ::read(file, text, sizeof(text));
    ::close(file);
  }
  errno = saved;
  if (size == static_cast<ssize_t>(sizeof(text))) return 0;
  std::uint32_t last = 0;
  bool any = false;
  for (ssize_t i = 0; i < size; ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (digit) last = (any ? last * 10 : 0) + static_cast<std::uint32_t>(text[i] - '0');
    if (digit || i + 1 < size) any = digit;
  }
  return size > 0 ? last + 1 : 0;
}
#endif

// Once, under the lock.
void open_pool() noexcept {
  pool.tried = true;
#if defined(TREADLE_CPU_COUNT)
  if (__rseq_size == 0 || injected_fault(faulty_call::membarrier) != 0) return;
  if (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ) != 0) return;
  const std::uint32_t rows = possible_cpus();
  if (rows == 0 || rows > rows_max) return;
  const mapping_result made = map_memory(nullptr, rows * row_bytes, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
  if (made.error != 0) return;
  treadle_cpu_rows = rows;
  pool.cells = static_cast<std::byte*>(made.address);
#endif
}

void fence() noexcept {
#if defined(TREADLE_CPU_COUNT)
  const long result = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ);
  TREADLE_CHECK(result == 0, "membarrier was registered but does not work");
#endif
}

cpu_cells& cells_of(cpu_column column, std::size_t row) noexcept {
  return *reinterpret_cast<cpu_cells*>(column + row * row_bytes);
}
std::int64_t look(const cpu_cells& cells) noexcept {
  // relaxed: whoever sums up is after a fence, or only looks. Down first: who comes and goes
  // between the two looks is seen coming.
  const std::int64_t down = __atomic_load_n(&cells.down, __ATOMIC_RELAXED);
  return down + __atomic_load_n(&cells.up, __ATOMIC_RELAXED);
}

}  // namespace

cpu_column lend_cpu_column() noexcept {
  const guard hold(pool.lock);
  if (!pool.tried) open_pool();
  if (pool.cells == nullptr) return 0;
  for (std::size_t i = 0; i < columns_max / 64; ++i) {
    if (~pool.lent[i] == 0) continue;
    const int bit = std::countr_one(pool.lent[i]);
    pool.lent[i] |= std::uint64_t{1} << bit;
    const std::size_t column = i * 64 + static_cast<std::size_t>(bit);
    return reinterpret_cast<cpu_column>(pool.cells) + column * sizeof(cpu_cells);
  }
  return 0;
}

std::int64_t sum_of(cpu_column column) noexcept {
  std::int64_t sum = 0;
  for (std::size_t row = 0; row < treadle_cpu_rows; ++row) sum += look(cells_of(column, row));
  return sum;
}

std::int64_t end_count(cpu_column column) noexcept {
  fence();
  return drop_count(column);
}

std::int64_t drop_count(cpu_column column) noexcept {
  std::int64_t sum = 0;
  for (std::size_t row = 0; row < treadle_cpu_rows; ++row) {
    cpu_cells& cells = cells_of(column, row);
    sum += look(cells);
    // relaxed, both: nobody counts
    __atomic_store_n(&cells.up, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&cells.down, 0, __ATOMIC_RELAXED);
  }
  const guard hold(pool.lock);
  const std::size_t number =
      (column - reinterpret_cast<cpu_column>(pool.cells)) / sizeof(cpu_cells);
  pool.lent[number / 64] &= ~(std::uint64_t{1} << number % 64);
  return sum;
}

}  // namespace treadle::base
