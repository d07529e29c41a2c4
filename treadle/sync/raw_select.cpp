#include "treadle/sync/raw_select.hpp"

#include "treadle/sync/raw_select_impl.hpp"

namespace treadle::sync {

template class basic_select<channel_ground>;

}  // namespace treadle::sync
