// Time for the mock: the real one in a browser, a virtual one that tests push forward.

export interface Clock {
  now(): number;
  /** Runs something later; answers how to call it off. */
  after(ms: number, run: () => void): () => void;
}

export const realClock: Clock = {
  now: () => Date.now(),
  after(ms, run) {
    const id = setTimeout(run, ms);
    return () => clearTimeout(id);
  },
};

interface Due {
  at: number;
  run: () => void;
}

export class VirtualClock implements Clock {
  #now: number;
  #due: Due[] = [];

  constructor(start = Date.UTC(2026, 10, 25, 14, 32)) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  after(ms: number, run: () => void): () => void {
    const entry = { at: this.#now + ms, run };
    this.#due.push(entry);
    return () => (this.#due = this.#due.filter((d) => d !== entry));
  }

  /** Lets time pass, and everything that is due happen in its order; promises settle in between. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      for (let i = 0; i < 8; i++) await Promise.resolve();
      const next = this.#due.reduce<Due | undefined>(
        (first, d) => (d.at <= end && (!first || d.at < first.at) ? d : first),
        undefined,
      );
      if (!next) break;
      this.#due = this.#due.filter((d) => d !== next);
      this.#now = next.at;
      next.run();
    }
    this.#now = end;
  }
}
