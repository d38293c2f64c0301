// Whether the computer of the mock serves others: a choice, and what super-peers find.
import type { Candidacy, SuperPeerSet, SuperPeerState, Tested, Verdict } from "../generated";

const found = (at: number): Verdict[] => [
  { superPeer: "192.0.2.7:37373", at, tried: "198.51.100.3:37373", tcp: "reached", udp: "silent" },
  { superPeer: "203.0.113.9:37373", at, tried: "198.51.100.3:37373", tcp: "silent", udp: "silent" },
  { superPeer: "192.0.2.99:443", at, tcp: "notAsked", udp: "notAsked" },
];

export class MockServing {
  state: SuperPeerState = {
    candidacy: {
      jobs: { directory: true, relay: true },
      caps: {},
      standing: "ordinary",
      obstacles: [{ what: "notAnswered" }],
      verifiersNeeded: 2,
      verdicts: [],
    },
  };

  choose({ mode, jobs, caps }: SuperPeerSet): Record<string, never> {
    if (jobs) this.#change({ jobs });
    if (caps) this.#change({ caps });
    if (!mode) return {};
    const obstacles: Candidacy["obstacles"] =
      mode === "never"
        ? [{ what: "ownerSaysNever" }]
        : [
            { what: "notReachedByTcp", reached: 1, notReached: 1 },
            { what: "notReachedByUdp", reached: 0, notReached: 2 },
          ];
    this.#change({ mode, obstacles });
    return {};
  }

  test(at: number): Tested {
    this.#change({ verdicts: found(at) });
    return { verdicts: found(at) };
  }

  #change(change: Partial<Candidacy>): void {
    if (this.state.candidacy) this.state = { ...this.state, candidacy: { ...this.state.candidacy, ...change } };
  }
}
