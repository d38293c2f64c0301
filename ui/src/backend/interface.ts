// What the window knows of the node: questions with typed answers, and events. Nothing else crosses.
import type { BackendEvent, ErrorCode, Failure, Method, Methods } from "./generated";

export type Params<M extends Method> = Methods[M]["params"];
export type Result<M extends Method> = Methods[M]["result"];

/** The node, wherever it runs. `call` is refused with [`Refused`]. */
export interface Backend {
  call<M extends Method>(method: M, params: Params<M>): Promise<Result<M>>;
  subscribe(listener: (event: BackendEvent) => void): () => void;
}

/** What a window is told when it has painted. */
export interface Opened {
  /** The link that it was opened with. */
  link?: string;
  /** What the window before had kept. */
  kept?: string;
}

/** The frame around the window: it brings links that were clicked elsewhere, and outlives the window. */
export interface Frame {
  /** Says, once, that the window has painted and hears of links. */
  ready(): Promise<Opened>;
  /** Keeps a text in memory for the next window. */
  keep(text: string): void;
  /** Gives the links that come from now on, and those that came before anybody listened. */
  onLink(listener: (link: string) => void): () => void;
}

/** Why a question was not granted: the code, its facts, and when trying again makes sense. */
export class Refused extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.code);
    this.name = "Refused";
    this.failure = failure;
  }

  get code(): ErrorCode {
    return this.failure.code;
  }
}

/** The failure in whatever was thrown; what is none of ours is a mistake of ours. */
export function failureOf(thrown: unknown): Failure {
  if (thrown instanceof Refused) return thrown.failure;
  return { code: "internal", facts: { what: thrown instanceof Error ? thrown.message : String(thrown) } };
}
