// Searches of the network as they go: who was found in which round, and why each ended. Pure.
import type { SearchEnded, SearchResult } from "../backend/generated";

export interface Search {
  results: readonly SearchResult[];
  ended?: SearchEnded;
}

type Searches = Readonly<Record<string, Search>>;

/** How many nodes each round asks (lecture, slide 31). */
export const ROUNDS = [4, 8, 16] as const;

/** People found by one search at most: then the node stops (crates/earshot-proto, peer/listings.rs). */
export const FOUND_MAX = 200;

/** Whoever is told again, because more is known, keeps the place. */
export function searchFound(searches: Searches, result: SearchResult): Searches {
  const before = searches[result.searchId] ?? { results: [] };
  const at = before.results.findIndex((r) => r.user === result.user);
  const results = at < 0 ? [...before.results, result] : before.results.with(at, result);
  return { ...searches, [result.searchId]: { ...before, results } };
}

export function searchEnded(searches: Searches, ended: SearchEnded): Searches {
  const before = searches[ended.searchId] ?? { results: [] };
  return { ...searches, [ended.searchId]: { ...before, ended } };
}

/** The widths of the rounds that a result took, when every node of each was asked; else nothing. */
export function widths(result: SearchResult): number[] | undefined {
  const asked = ROUNDS.slice(0, result.round);
  const sum = asked.reduce((a, b) => a + b, 0);
  return asked.length === result.round && sum === result.askedNodes ? [...asked] : undefined;
}
