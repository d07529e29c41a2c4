#include "treadle/sync/raw_channel.hpp"

#include "treadle/sync/channel_buffer_impl.hpp"
#include "treadle/sync/rendezvous_impl.hpp"

namespace treadle::sync {

template class basic_rendezvous<channel_ground>;
template class basic_channel_buffer<channel_ground>;

}  // namespace treadle::sync
