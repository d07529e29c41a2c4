#include "treadle/sync/raw_inheriting_mutex.hpp"

#include "treadle/sync/raw_inheriting_mutex_impl.hpp"

namespace treadle::sync {

template class basic_inheriting_mutex<inheriting_ground>;

}  // namespace treadle::sync
