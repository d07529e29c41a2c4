#include "treadle/sync/raw_semaphore.hpp"

#include "treadle/sync/raw_semaphore_impl.hpp"

namespace treadle::sync {

template class wait_word<semaphore_ground>;
template class basic_semaphore<semaphore_ground>;

}  // namespace treadle::sync
