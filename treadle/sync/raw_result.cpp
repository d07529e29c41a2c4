#include "treadle/sync/raw_result.hpp"

#include "treadle/sync/raw_result_impl.hpp"

namespace treadle::sync {

template class basic_result<result_ground>;

}  // namespace treadle::sync
