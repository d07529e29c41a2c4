#include "treadle/sync/raw_semaphore.hpp"

#include "treadle/sync/raw_semaphore_impl.hpp"

namespace treadle::sync {

template class basic_semaphore<semaphore_ground>;

}  // namespace treadle::sync
