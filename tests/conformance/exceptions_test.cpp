// C++ exceptions in every model: the stack of caught exceptions and the count of uncaught ones
// belong to the thread, wherever it goes on after a switch.
#include <gtest/gtest.h>

#include <atomic>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <treadle/mutex.hpp>
#include <treadle/semaphore.hpp>
#include <vector>

#include "tests/support/models.hpp"

namespace treadle {
namespace {

using testing_support::every_model;
using testing_support::model_names;
using testing_support::scaled;

template <class Model>
class Exceptions : public testing_support::in_model<Model> {};
TYPED_TEST_SUITE(Exceptions, every_model, model_names);

// Gives the others, on this worker or another, a chance to disturb.
void go_away(int i) {
  switch (i % 3) {
    case 0:
      this_thread::yield();
      break;
    case 1:
      this_thread::sleep_for(std::chrono::microseconds(i % 17));
      break;
    default:
      for (int k = 0; k < 3; ++k) this_thread::yield();
  }
}

// Runs `body(index, round)` in many threads at once and counts the false answers.
template <class Body>
void in_many_threads(Body body) {
  std::atomic<int> wrong{0};
  std::vector<thread> threads;
  for (int t = 0; t < 16; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t round = 0; round < scaled(60); ++round) {
        if (!body(t, static_cast<int>(round))) wrong.fetch_add(1);
      }
    });
  }
  for (thread& t : threads) t.join();
  EXPECT_EQ(wrong, 0);
}

TYPED_TEST(Exceptions, SwitchInsideACatchBlock) {
  this->in([] {
    in_many_threads([](int t, int round) {
      const std::string text = std::to_string(t) + "/" + std::to_string(round);
      try {
        throw std::runtime_error(text);
      } catch (const std::runtime_error& error) {
        go_away(t + round);
        return text == error.what();
      }
    });
  });
}

TYPED_TEST(Exceptions, RethrowAfterASwitch) {
  this->in([] {
    in_many_threads([](int t, int round) {
      const int value = t * 1000 + round;
      try {
        try {
          throw value;
        } catch (...) {
          go_away(t + round);
          throw;
        }
      } catch (int caught) {
        return caught == value;
      }
      return false;
    });
  });
}

TYPED_TEST(Exceptions, NestedCatchBlocks) {
  this->in([] {
    in_many_threads([](int t, int round) {
      bool right = true;
      try {
        throw t;
      } catch (int outer) {
        go_away(t + round);
        try {
          throw std::string(1, static_cast<char>('a' + t));
        } catch (const std::string& inner) {
          go_away(t + round + 1);
          try {
            throw round * 1.5;
          } catch (double innermost) {
            go_away(t + round + 2);
            right = right && innermost == round * 1.5;
          }
          go_away(t + round);
          right = right && inner[0] == 'a' + t;
        }
        go_away(t + round + 1);
        right = right && outer == t;
        // Rethrows the outer one, not whatever was caught last somewhere.
        try {
          throw;
        } catch (int again) {
          right = right && again == t;
        }
      }
      return right && std::current_exception() == nullptr;
    });
  });
}

TYPED_TEST(Exceptions, CurrentExceptionIsTheThreads) {
  this->in([] {
    in_many_threads([](int t, int round) {
      if (std::current_exception() != nullptr) return false;
      try {
        throw t;
      } catch (...) {
        const std::exception_ptr before = std::current_exception();
        go_away(t + round);
        return before == std::current_exception();
      }
    });
  });
}

TYPED_TEST(Exceptions, SwitchWhileUnwinding) {
  this->in([] {
    struct parks_when_destroyed {
      int turn;
      bool* right;
      ~parks_when_destroyed() {
        const int before = std::uncaught_exceptions();
        go_away(turn);
        *right = *right && before == 1 && std::uncaught_exceptions() == 1;
      }
    };
    in_many_threads([](int t, int round) {
      bool right = std::uncaught_exceptions() == 0;
      try {
        const parks_when_destroyed first{t + round, &right};
        const parks_when_destroyed second{t + round + 1, &right};
        throw t;
      } catch (int caught) {
        right = right && caught == t && std::uncaught_exceptions() == 0;
      }
      return right;
    });
  });
}

TYPED_TEST(Exceptions, ThrowAndCatchWhileUnwinding) {
  this->in([] {
    struct throws_inside {
      int value;
      bool* right;
      ~throws_inside() {
        try {
          go_away(value);
          throw std::to_string(value);
        } catch (const std::string& text) {
          go_away(value + 1);
          *right = *right && text == std::to_string(value) && std::uncaught_exceptions() == 1;
        }
      }
    };
    in_many_threads([](int t, int round) {
      bool right = true;
      try {
        const throws_inside guard{t + round, &right};
        throw round;
      } catch (int caught) {
        return right && caught == round;
      }
    });
  });
}

TYPED_TEST(Exceptions, ExceptionPointersTravel) {
  this->in([] {
    for (std::size_t i = 0; i < scaled(100); ++i) {
      std::exception_ptr carried;
      thread thrower([&carried, i] {
        try {
          this_thread::yield();
          throw std::runtime_error(std::to_string(i));
        } catch (...) {
          carried = std::current_exception();
        }
      });
      thrower.join();
      std::string seen;
      thread catcher([&] {
        try {
          std::rethrow_exception(carried);
        } catch (const std::runtime_error& error) {
          this_thread::yield();
          seen = error.what();
        }
      });
      catcher.join();
      ASSERT_EQ(seen, std::to_string(i));
    }
  });
}

TYPED_TEST(Exceptions, NestedExceptionsAndLocks) {
  this->in([] {
    mutex m;
    in_many_threads([&m](int t, int round) {
      try {
        try {
          const std::lock_guard hold(m);  // unlocked by unwinding
          go_away(t + round);
          throw std::runtime_error("inner");
        } catch (...) {
          go_away(t + round + 1);
          std::throw_with_nested(std::logic_error("outer"));
        }
      } catch (const std::logic_error& outer) {
        go_away(round);
        try {
          std::rethrow_if_nested(outer);
        } catch (const std::runtime_error& inner) {
          return std::string(inner.what()) == "inner" && std::string(outer.what()) == "outer";
        }
      }
      return false;
    });
  });
}

TYPED_TEST(Exceptions, ThreadsStartCleanInsideACatchBlock) {
  this->in([] {
    for (std::size_t i = 0; i < scaled(50); ++i) {
      try {
        throw 1;
      } catch (int) {
        bool clean = false;
        thread t([&clean] {
          clean = std::current_exception() == nullptr && std::uncaught_exceptions() == 0;
          try {
            throw 2;
          } catch (int value) {
            this_thread::yield();
            clean = clean && value == 2;
          }
        });
        t.join();
        ASSERT_TRUE(clean);
        ASSERT_NE(std::current_exception(), nullptr);
      }
    }
  });
}

// A main thread that waits inside its own catch block.
TYPED_TEST(Exceptions, ForeignKernelThreadKeepsItsOwn) {
  try {
    throw std::runtime_error("main's");
  } catch (const std::runtime_error& error) {
    EXPECT_THROW(this->in([] {
      this_thread::yield();
      throw 3;
    }),
                 int);
    EXPECT_STREQ(error.what(), "main's");
    try {
      throw;
    } catch (const std::exception& again) {
      EXPECT_STREQ(again.what(), "main's");
    }
  }
}

}  // namespace
}  // namespace treadle
