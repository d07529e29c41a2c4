// The measurements of peer_boost_fiber.hpp.
#include "peer_boost_fiber.hpp"

#include "measure_peer.hpp"

namespace treadle::bench {

void measure_boost_fiber(const child_order& order) { measure_peer<peer_boost_fiber>(order); }

}  // namespace treadle::bench
