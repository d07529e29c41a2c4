// The measurements of peer_nptl.hpp.
#include "peer_nptl.hpp"

#include "measure_peer.hpp"

namespace treadle::bench {

void measure_nptl(const child_order& order) { measure_peer<peer_nptl>(order); }

}  // namespace treadle::bench
