// Usage: PART NUMBER, see parts.hpp.
#include "treadle/lab/pthread_program/parts.hpp"

int main(int count, char** words) {
  using namespace treadle::lab::pthread_program;
  const char* part = count == 3 ? words[1] : "";
  const long number = count == 3 ? std::strtol(words[2], nullptr, 10) : 0;
  if (std::strcmp(part, "masks") == 0 && number > 0) {
    measure_masks(number);
  } else if (std::strcmp(part, "deliveries") == 0 && number > 0) {
    count_deliveries(number);
  } else if (std::strcmp(part, "forks") == 0 && number > 0) {
    try_forks(number);
  } else {
    std::fprintf(stderr, "allowed are: masks, deliveries and forks, with a number from 1\n");
    return 2;
  }
  return 0;
}
