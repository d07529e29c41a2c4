#include "treadle/sync/raw_event.hpp"

#include "treadle/sync/raw_event_impl.hpp"

namespace treadle::sync {

template class basic_event<event_ground, event_kind::manual_reset>;
template class basic_event<event_ground, event_kind::auto_reset>;

}  // namespace treadle::sync
