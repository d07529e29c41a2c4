// A FIFO of objects linked through their own `link` member: no allocation, no lock.
#pragma once

#include <cstddef>

namespace treadle::base {

template <class T>
class chain {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  std::size_t size() const noexcept { return size_; }

  T* front() const noexcept { return first_; }

  void push_back(T* item) noexcept {
    item->link = nullptr;
    if (first_ == nullptr) {
      first_ = item;
    } else {
      last_->link = item;
    }
    last_ = item;
    ++size_;
  }

  void push_front(T* item) noexcept {
    item->link = first_;
    if (first_ == nullptr) last_ = item;
    first_ = item;
    ++size_;
  }

  T* pop_front() noexcept {
    T* item = first_;
    if (item == nullptr) return nullptr;
    first_ = item->link;
    --size_;
    return item;
  }

  // For a walk along the links, up to null.
  T* first() const noexcept { return first_; }

  // Walks from the first. False when it is not here.
  bool remove(T* item) noexcept {
    T* before = nullptr;
    for (T* one = first_; one != nullptr; before = one, one = one->link) {
      if (one != item) continue;
      (before != nullptr ? before->link : first_) = one->link;
      if (last_ == one) last_ = before;
      --size_;
      return true;
    }
    return false;
  }

  // Moves all of `other` behind our last.
  void append(chain& other) noexcept {
    if (other.first_ == nullptr) return;
    if (first_ == nullptr) {
      first_ = other.first_;
    } else {
      last_->link = other.first_;
    }
    last_ = other.last_;
    size_ += other.size_;
    other.first_ = nullptr;
    other.size_ = 0;
  }

 private:
  T* first_ = nullptr;
  T* last_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace treadle::base
