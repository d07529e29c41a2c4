#include "treadle/sync/raw_condition.hpp"

#include "treadle/sync/raw_condition_impl.hpp"

namespace treadle::sync {

template class wait_word<condition_ground>;
template class basic_condition<condition_ground>;

}  // namespace treadle::sync
