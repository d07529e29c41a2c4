// An object that nobody can find any more, until nobody can still be reading it.
#pragma once

namespace treadle::sync {

struct retired {
  retired* link = nullptr;  // owned by whoever holds the list that it is in
  void (*destroy)(retired& self) noexcept = nullptr;  // frees this, too
};

}  // namespace treadle::sync
