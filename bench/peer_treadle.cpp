// The measurements of peer_treadle.hpp, in both models that run threads on few kernel threads.
#include "peer_treadle.hpp"

#include "measure_peer.hpp"

namespace treadle::bench {

void measure_treadle(const child_order& order, treadle_model model) {
  if (model == treadle_model::many_to_one) {
    measure_peer<peer_treadle<treadle::model::many_to_one>>(order);
  }
  measure_peer<peer_treadle<treadle::model::many_to_many>>(order);
}

}  // namespace treadle::bench
