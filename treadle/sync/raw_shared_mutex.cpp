#include "treadle/sync/raw_shared_mutex.hpp"

#include "treadle/sync/raw_shared_mutex_impl.hpp"

namespace treadle::sync {

template class basic_shared_mutex<shared_mutex_ground>;

}  // namespace treadle::sync
