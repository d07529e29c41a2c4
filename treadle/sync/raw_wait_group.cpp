#include "treadle/sync/raw_wait_group.hpp"

#include "treadle/sync/raw_wait_group_impl.hpp"

namespace treadle::sync {

template class basic_wait_group<wait_group_ground>;

}  // namespace treadle::sync
