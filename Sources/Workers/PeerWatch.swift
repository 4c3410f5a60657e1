/// What one rank knows of the others, and what it concludes from that. A value without clocks or sockets: all times are
/// seconds that the caller gives.
package struct PeerWatch {
  package struct Peer {
    package let worker: WorkerName
    package var snapshot = Activity.Snapshot()
    /// When it was last heard; nil: never.
    package var heard: Double?
    /// It has told the others that it leaves.
    package var saidGoodbye = false
    /// When its snapshot last changed, or watching began.
    package var changed: Double
  }

  /// Why a peer keeps others waiting.
  package enum Reason: Equatable {
    /// Nothing was heard of it for this long: its process is stopped, or its machine is.
    case silent(seconds: Double)
    /// Its process is alive and has been at the same place for this long.
    case stuck(seconds: Double)
    /// No heartbeat has ever arrived here.
    case unheard
  }

  package struct Late: Equatable {
    package let worker: WorkerName
    package let reason: Reason
    package let snapshot: Activity.Snapshot

    package init(worker: WorkerName, reason: Reason, snapshot: Activity.Snapshot) {
      (self.worker, self.reason, self.snapshot) = (worker, reason, snapshot)
    }
  }

  package enum Verdict: Equatable {
    /// This rank does not wait, or not long enough, or for something that may take its time.
    case fine
    /// These keep this rank waiting.
    case late([Late])
    /// This rank waits, and so do all others: messages get lost.
    case everyoneWaits
  }

  private let rank: Int
  package private(set) var peers: [Peer]
  private var own = Activity.Snapshot()
  /// When this rank's own snapshot last changed.
  private var changed: Double
  /// Seconds between two heartbeats of a peer.
  private let beat: Double

  package init(rank: Int, workers: [WorkerName], beat: Double, now: Double) {
    (self.rank, self.beat) = (rank, beat)
    peers = workers.map { Peer(worker: $0, changed: now) }
    changed = now
  }

  package var snapshot: Activity.Snapshot { own }

  package mutating func note(own snapshot: Activity.Snapshot, at now: Double) {
    if snapshot != own { (own, changed) = (snapshot, now) }
  }

  /// Notes a heartbeat.
  package mutating func note(_ snapshot: Activity.Snapshot, of peer: Int, at now: Double) {
    peers[peer].heard = now
    if snapshot.phase == .ended { peers[peer].saidGoodbye = true }
    note(place: snapshot, of: peer, at: now)
  }

  /// Notes where a peer is, without a sign of life.
  package mutating func note(place snapshot: Activity.Snapshot, of peer: Int, at now: Double) {
    if snapshot != peers[peer].snapshot {
      peers[peer].snapshot = snapshot
      peers[peer].changed = now
    }
  }

  /// Leaves out `seconds` in which this process itself did not run, as where a batch system suspends a whole job.
  package mutating func skip(_ seconds: Double) {
    changed += seconds
    for index in peers.indices {
      peers[index].changed += seconds
      if let heard = peers[index].heard { peers[index].heard = heard + seconds }
    }
  }

  /// How long this rank has been waiting in the same collective; 0 outside of one.
  package func waited(at now: Double) -> Double { own.isWaiting ? now - changed : 0 }

  /// Judges after `limit` seconds of waiting.
  package func verdict(limit: Double, at now: Double) -> Verdict {
    guard waited(at: now) >= limit else { return .fine }
    var late: [Late] = []
    var isSomeoneBusy = false
    for (index, peer) in peers.enumerated() where index != rank {
      guard let heard = peer.heard else {
        // Whoever is in a phase of free length with us may be busy with it.
        if own.phase.isUnlimited { isSomeoneBusy = true }
        late.append(Late(worker: peer.worker, reason: .unheard, snapshot: peer.snapshot))
        continue
      }
      // A process can only be called silent when several of its heartbeats are missing.
      let silence = now - heard
      if silence >= max(limit - 2 * beat, 4 * beat) {
        late.append(Late(worker: peer.worker, reason: .silent(seconds: silence), snapshot: peer.snapshot))
      } else if !peer.snapshot.isWaiting {
        let still = now - peer.changed
        if peer.snapshot.phase.isUnlimited || still < limit - 2 * beat {
          isSomeoneBusy = true
        } else {
          late.append(Late(worker: peer.worker, reason: .stuck(seconds: still), snapshot: peer.snapshot))
        }
      }
    }
    let known = late.filter { $0.reason != .unheard }
    if !known.isEmpty { return .late(known) }
    if isSomeoneBusy { return .fine }
    return late.isEmpty ? .everyoneWaits : .late(late)
  }

  /// Whether this rank is the one to speak: of those that wait and are heard, the lowest.
  package func isSpeaker(at now: Double) -> Bool {
    !peers[..<rank].contains { peer in
      guard let heard = peer.heard else { return false }
      return now - heard < 4 * beat && peer.snapshot.isWaiting
    }
  }
}

extension PeerWatch.Late: CustomStringConvertible {
  /// `rank 1 on node2: no sign of life for 62 s, last known in the forward and backward pass of step 120`.
  package var description: String {
    let place = snapshot.place
    return switch reason {
    case .silent(let seconds): "\(worker): no sign of life for \(Int(seconds)) s, last known in \(place)"
    case .stuck(let seconds): "\(worker): its process is alive, and for \(Int(seconds)) s in \(place)"
    case .unheard: "\(worker): its heartbeats don't arrive here (UDP), so where it is can't be told"
    }
  }
}
