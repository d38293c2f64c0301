// Who is near by: everybody once, and whether their certificates still run.
import { expect, test } from "vitest";
import type { Nearby } from "../backend/generated";
import { event, NOON, snapshot, world } from "../testing/samples";
import { hasEnded, isNear, neighbours } from "./nearby";
import { advance } from "./world";

const DAY = 86_400_000;
const device = (user: string, more: Partial<Nearby> = {}): Nearby => ({
  user,
  since: NOON,
  certificateUntil: NOON + DAY,
  ...more,
});
const standing = (...nearby: Nearby[]) => ({ ...snapshot().network, nearby });

test("somebody with two devices is one neighbour, there since the first, certified until the first ends", () => {
  const ended = { since: NOON + 2, certificateUntil: NOON - 1 };
  const seen = standing(device("anna", { since: NOON + 9 }), device("anna", ended));
  expect(neighbours(seen)).toEqual([{ user: "anna", ...ended }]);
});

test("who was there first comes first, and of two at once the order is always the same", () => {
  const seen = standing(device("cecile", { since: NOON + 1 }), device("bob"), device("anna"));
  expect(neighbours(seen).map((n) => n.user)).toEqual(["anna", "bob", "cecile"]);
});

test("a node that tells of nobody near by has no neighbours", () => {
  const { network } = snapshot();
  expect([neighbours(network), isNear(network, "anna")]).toEqual([[], false]);
  expect(isNear(standing(device("anna")), "anna")).toBe(true);
});

test("who comes near by and goes is followed", () => {
  const { network } = snapshot();
  const come = advance(world(), event(1, { type: "networkChanged", ...standing(device("anna")) }));
  expect(neighbours(come.network).map((n) => n.user)).toEqual(["anna"]);
  expect(advance(come, event(2, { type: "networkChanged", ...network })).network.nearby).toBeUndefined();
});

test("a certificate has ended at its end and after it; where none is told of nothing has", () => {
  const ends = [NOON - 1, NOON, NOON + 1, undefined];
  expect(ends.map((until) => hasEnded(until, NOON))).toEqual([true, true, false, false]);
});
