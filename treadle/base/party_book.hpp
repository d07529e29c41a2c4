// The list of all parties, and which of them is alone: see solo.hpp, whose book this is.
//
// Guarded by the book's lock, which its owner holds around every call; each is by the party's own
// kernel thread. At most one party is alone, it is a candidate, and nobody else is listed then.
// Who enters has taken that right away from the other before enter() comes back; who leaves gives
// it on as its last step, and does nothing with a shared word after that.
// `Kernel` has set_mode(party, mode), and revoke(), which makes whoever is in the middle of a
// sequence begin again: without it the right of one that has looked at its mode already would last
// until its store.
#pragma once

#include <cstdint>

#include "treadle/base/solo.hpp"

namespace treadle::base {

template <class Party, class Kernel>
class basic_party_book {
 public:
  // Until then nobody is ever alone: the kernel could not revoke.
  void allow() noexcept { usable_ = true; }
  bool is_usable() const noexcept { return usable_; }
  unsigned parties() const noexcept { return parties_; }

  void enter(Party& mine) noexcept {
    mine.previous = nullptr;
    mine.next = first_;
    if (first_ != nullptr) first_->previous = &mine;
    first_ = &mine;
    ++parties_;
    Kernel::set_mode(mine, party_shared);
    settle();
  }
  // `mode` is party_stranger or party_away.
  void leave(Party& mine, party_mode mode) noexcept {
    (mine.previous != nullptr ? mine.previous->next : first_) = mine.next;
    if (mine.next != nullptr) mine.next->previous = mine.previous;
    --parties_;
    // It leaves of its own accord, between two operations: nothing to revoke.
    if (alone_ == &mine) alone_ = nullptr;
    Kernel::set_mode(mine, mode);
    settle();
  }

 private:
  void settle() noexcept {
    if (!usable_) return;
    Party* const only = parties_ == 1 && first_->candidate != 0 ? first_ : nullptr;
    if (alone_ == only) return;
    if (alone_ != nullptr) {
      Kernel::set_mode(*alone_, party_shared);
      alone_ = nullptr;
      Kernel::revoke();
    }
    if (only != nullptr) {
      alone_ = only;
      Kernel::set_mode(*only, party_alone);
    }
  }

  Party* first_ = nullptr;
  Party* alone_ = nullptr;
  unsigned parties_ = 0;
  bool usable_ = false;
};

}  // namespace treadle::base
