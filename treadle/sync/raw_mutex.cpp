#include "treadle/sync/raw_mutex.hpp"

#include "treadle/sync/raw_mutex_impl.hpp"

namespace treadle::sync {

template class basic_mutex<mutex_ground>;

}  // namespace treadle::sync
