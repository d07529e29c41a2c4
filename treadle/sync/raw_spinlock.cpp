#include "treadle/sync/raw_spinlock.hpp"

namespace treadle::sync {

template class basic_spinlock<spinlock_ground>;

}  // namespace treadle::sync
