#include "treadle/sync/raw_barrier.hpp"

#include "treadle/sync/raw_barrier_impl.hpp"

namespace treadle::sync {

template class basic_barrier<barrier_ground>;

}  // namespace treadle::sync
