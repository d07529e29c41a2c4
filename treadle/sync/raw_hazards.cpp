#include "treadle/sync/raw_hazards.hpp"

#include <algorithm>
#include <memory>
#include <new>

#include "treadle/sched/worker.hpp"

namespace treadle::sync {
namespace {

constinit raw_hazards process_hazards;

// Guess: with its link a block of 64 lines, a page.
constexpr std::size_t cells_in_block = 63;

}  // namespace

struct raw_hazards::block {
  block* older = nullptr;  // fixed after start
  hazard_cell cells[cells_in_block];
};

// What stands in the cells at one moment.
class raw_hazards::protected_set {
 public:
  // acquire: pairs with take_cell(). Cells that are added later are used later, and their users do
  // not find what was retired before.
  explicit protected_set(const raw_hazards& home) noexcept
      : first_(home.blocks_.load(base::acquire)) {
    // relaxed: counted before the blocks were added that we have seen
    const std::size_t most = home.cells_.load(base::relaxed);
    sorted_.reset(new (std::nothrow) const void*[most]);
    if (sorted_ == nullptr) return;
    each_cell([&](const void* address) {
      if (address != nullptr && size_ < most) sorted_[size_++] = address;
      return true;
    });
    std::sort(sorted_.get(), sorted_.get() + size_);
  }

  bool has(const void* object) const noexcept {
    if (sorted_ != nullptr) {
      return std::binary_search(sorted_.get(), sorted_.get() + size_, object);
    }
    // No memory for the list: slow, but right.
    return !each_cell([object](const void* address) { return address != object; });
  }

 private:
  template <class F>
  bool each_cell(F goes_on) const noexcept {
    for (const block* one = first_; one != nullptr; one = one->older) {
      for (const hazard_cell& cell : one->cells) {
        if (!goes_on(cell.address())) return false;
      }
    }
    return true;
  }

  const block* const first_;
  std::unique_ptr<const void*[]> sorted_;
  std::size_t size_ = 0;
};

raw_hazards& raw_hazards::of_process() noexcept { return process_hazards; }

hazard_cell* raw_hazards::take_cell() noexcept {
  {
    const base::guard hold(lock_);
    if (hazard_cell* cell = free_) {
      free_ = cell->below;
      return cell;
    }
  }
  // Before the first cell is used; after that a look at a flag.
  base::asymmetric_fence::prepare();
  auto* made = new (std::nothrow) block;
  if (made == nullptr) return nullptr;
  // The number first: it must not be too small for the cells that are found. relaxed: see below
  cells_.fetch_add(cells_in_block, base::relaxed);
  made->older = blocks_.load(base::relaxed);  // relaxed: validated by the CAS
  // release: pairs with protected_set
  while (!blocks_.compare_exchange_weak(made->older, made, base::release, base::relaxed)) {
  }
  const base::guard hold(lock_);
  for (std::size_t i = 1; i < cells_in_block; ++i) {
    made->cells[i].below = free_;
    free_ = &made->cells[i];
  }
  return &made->cells[0];
}

void raw_hazards::give_back(hazard_cell& cell) noexcept {
  cell.clear();
  const base::guard hold(lock_);
  cell.below = free_;
  free_ = &cell;
}

std::size_t raw_hazards::enough() const noexcept {
  return batch + 2 * cells_.load(base::relaxed);  // relaxed: a guess
}

void raw_hazards::push(retired* first, retired* last, std::size_t count) noexcept {
  waiting_.fetch_add(count, base::relaxed);   // relaxed: a count; before it can be taken away
  last->link = retired_.load(base::relaxed);  // relaxed: validated by the CAS
  // release: pairs with destroy_unused(), the objects were made unfindable before
  while (!retired_.compare_exchange_weak(last->link, first, base::release, base::relaxed)) {
  }
}

void raw_hazards::retire(hazard_retired& object) noexcept {
  push(&object, &object, 1);
  core::thread& self = core::current_thread();
  // relaxed: a count
  while (waiting_.load(base::relaxed) >= enough() && begin_destroying(self)) {
    const bool found = destroy_unused();
    end_destroying(self);
    if (!found) return;  // others have them in their hands, and look again
  }
}

void raw_hazards::reclaim() noexcept {
  // relaxed: whoever wants something destroyed has synchronised with its retirement
  if (waiting_.load(base::relaxed) == 0) return;
  core::thread& self = core::current_thread();
  if (!begin_destroying(self)) return;
  static_cast<void>(destroy_unused());
  end_destroying(self);
}

// False when it is one of its own deleters that asks, or enough others are at it.
bool raw_hazards::begin_destroying(core::thread& self) noexcept {
  // relaxed, all: only we put ourselves in and take ourselves out
  for (const auto& each : destroyers_) {
    if (each.load(base::relaxed) == &self) return false;
  }
  for (auto& each : destroyers_) {
    core::thread* nobody = nullptr;
    if (each.load(base::relaxed) == nullptr &&
        each.compare_exchange_strong(nobody, &self, base::relaxed, base::relaxed)) {
      return true;
    }
  }
  return false;
}

void raw_hazards::end_destroying(core::thread& self) noexcept {
  for (auto& each : destroyers_) {
    // relaxed, both: as above
    if (each.load(base::relaxed) == &self) return each.store(nullptr, base::relaxed);
  }
}

// False when there was nothing to look at.
bool raw_hazards::destroy_unused() noexcept {
  // acquire: pairs with push()
  retired* all = retired_.exchange(nullptr, base::acquire);
  if (all == nullptr) return false;
  base::asymmetric_fence::rarely();
  base::chain<retired> unused;
  base::chain<retired> kept;
  {
    const protected_set in_use(*this);
    while (all != nullptr) {
      retired* each = all;
      all = each->link;
      const void* address = static_cast<hazard_retired*>(each)->address;
      (in_use.has(address) ? kept : unused).push_front(each);
    }
  }
  waiting_.fetch_sub(kept.size() + unused.size(), base::relaxed);  // relaxed: a count
  if (!kept.empty()) {
    retired* last = kept.front();
    while (last->link != nullptr) last = last->link;
    push(kept.front(), last, kept.size());
  }
  while (retired* each = unused.pop_front()) each->destroy(*each);
  return true;
}

}  // namespace treadle::sync
