// Timers by deadline: an intrusive pairing heap, for the few that are due soon (timer_wheel.hpp).
//
// insert() O(1), remove() O(log n) amortised; nothing is allocated. Not thread-safe.
// Rejected: a binary heap in an array (must grow, which allocates).
// Source: Fredman, Sedgewick, Sleator and Tarjan, "The pairing heap", Algorithmica 1986.
#pragma once

#include "treadle/base/timer_node.hpp"

namespace treadle::queue {

class timer_heap {
 public:
  bool empty() const noexcept { return root_ == nullptr; }
  base::timer_node* first() const noexcept { return root_; }

  void insert(base::timer_node* node) noexcept {
    node->child = node->next = node->back = nullptr;
    root_ = meld(root_, node);
  }

  void remove(base::timer_node* node) noexcept {
    base::timer_node* children = combine(node->child);
    if (node == root_) {
      root_ = children;
    } else {
      if (node->back->child == node) {
        node->back->child = node->next;
      } else {
        node->back->next = node->next;
      }
      if (node->next != nullptr) node->next->back = node->back;
      root_ = meld(root_, children);
    }
    node->child = node->next = node->back = nullptr;
  }

 private:
  // Two heap roots without siblings become one.
  static base::timer_node* meld(base::timer_node* a, base::timer_node* b) noexcept {
    if (a == nullptr) return b;
    if (b == nullptr) return a;
    if (b->deadline < a->deadline) {
      base::timer_node* swapped = a;
      a = b;
      b = swapped;
    }
    b->next = a->child;
    if (b->next != nullptr) b->next->back = b;
    b->back = a;
    a->child = b;
    return a;
  }

  // The children of a removed node: melded in pairs left to right, then right to left.
  static base::timer_node* combine(base::timer_node* first) noexcept {
    base::timer_node* pairs = nullptr;  // a stack through `next`
    while (first != nullptr) {
      base::timer_node* a = first;
      base::timer_node* b = a->next;
      first = b != nullptr ? b->next : nullptr;
      detach(a);
      if (b != nullptr) detach(b);
      base::timer_node* both = meld(a, b);
      both->next = pairs;
      pairs = both;
    }
    base::timer_node* root = nullptr;
    while (pairs != nullptr) {
      base::timer_node* rest = pairs->next;
      detach(pairs);
      root = meld(root, pairs);
      pairs = rest;
    }
    return root;
  }

  static void detach(base::timer_node* node) noexcept { node->next = node->back = nullptr; }

  base::timer_node* root_ = nullptr;
};

}  // namespace treadle::queue
