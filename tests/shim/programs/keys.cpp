// A program that has all keys before its first thread.
#include <climits>

#include "tests/shim/programs/check.hpp"

namespace {

pthread_key_t keys[PTHREAD_KEYS_MAX];
long destroyed = 0;

void destroy(void* value) { destroyed += as_number(value); }

void* use_first_and_last(void* argument) {
  CHECK(pthread_setspecific(keys[0], argument) == 0);
  CHECK(pthread_setspecific(keys[PTHREAD_KEYS_MAX - 1], argument) == 0);
  CHECK(pthread_getspecific(keys[PTHREAD_KEYS_MAX - 1]) == argument);
  return argument;
}

}  // namespace

int main() {
  for (pthread_key_t& key : keys) CHECK(pthread_key_create(&key, destroy) == 0);
  pthread_key_t more{};
  CHECK(pthread_key_create(&more, nullptr) == EAGAIN);
  for (long i = 1; i <= 8; ++i) CHECK(join(start(use_first_and_last, i)) == i);
  CHECK(destroyed == 2 * 36);
  done("all keys");
  return 0;
}
