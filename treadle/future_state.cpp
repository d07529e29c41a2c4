#include "treadle/future_state.hpp"

#include "treadle/future_state_impl.hpp"

namespace treadle::detail {

void throw_future_error(std::future_errc why) { throw std::future_error(why); }

template class basic_future_state<sync::result_ground>;

}  // namespace treadle::detail
