// What is said of every network that there can be.
import { describe, expect, test } from "vitest";
import type { Filtering, Mapping, Reachability, Standing, Translation } from "../backend/generated";
import { type Fact, type Outlook, verdictOf } from "./nat";

type Address = "public" | "near";
interface Known {
  address?: Address;
  translation?: Translation;
  mapping?: Mapping;
  filtering?: Filtering;
  reachability?: Reachability;
  portMapping?: string;
}

const [SEEN, TRANSLATED, MAPPED, FILTERED] = [1, 2, 3, 4];

function standing({ address, translation, mapping, filtering, reachability, portMapping }: Known): Standing {
  const nat = {
    ...(address && { address: { what: "198.51.100.3:9", isPublic: address === "public", measured: SEEN } }),
    ...(translation && { translation: { what: translation, measured: TRANSLATED } }),
    ...(mapping && { mapping: { what: mapping, measured: MAPPED } }),
    ...(filtering && { filtering: { what: filtering, measured: FILTERED } }),
  };
  return {
    authority: { reachable: true },
    links: [],
    superPeers: 3,
    ...(Object.keys(nat).length > 0 && { nat }),
    ...(reachability && { reachability }),
    ...(portMapping && { portMapping }),
  };
}

const BEHAVIOURS = ["endpointIndependent", "addressDependent", "addressAndPortDependent"] as const;
const every: Known[] = [undefined, "public", "near"].flatMap((address) =>
  [undefined, "absent", "present"].flatMap((translation) =>
    [undefined, ...BEHAVIOURS].flatMap((mapping) =>
      [undefined, ...BEHAVIOURS].flatMap((filtering) =>
        [undefined, "public", "natted", "restricted"].flatMap((reachability) =>
          [undefined, "198.51.100.3:9"].map((portMapping) => ({ address, translation, mapping, filtering, reachability, portMapping }) as Known),
        ),
      ),
    ),
  ),
);

/** What is said of all networks of which something is so. */
const saidWhere = (is: (known: Known) => boolean) =>
  every.filter(is).map((known) => {
    const { outlook, facts } = verdictOf(standing(known));
    return { known, outlook: outlook?.what, facts: facts.map((f) => f.what) };
  });

const isAll = (said: readonly { facts: Fact[]; outlook?: Outlook }[], what: (facts: Fact[], outlook?: Outlook) => boolean) => {
  expect(said.length).toBeGreaterThan(0);
  expect(said.filter(({ facts, outlook }) => !what(facts, outlook))).toEqual([]);
};

describe("the usual networks", () => {
  const home: Known = { address: "public", translation: "present", mapping: "endpointIndependent", filtering: "addressAndPortDependent", reachability: "natted" };

  test.each<[string, Known, Outlook | undefined, Fact[]]>([
    ["a router as most are", home, "outlookMost", ["router", "sameForAll", "portsGetIn"]],
    ["one that looks at addresses only", { ...home, filtering: "addressDependent" }, "outlookEasy", ["router", "sameForAll", "computersGetIn"]],
    ["a full cone", { ...home, filtering: "endpointIndependent" }, "outlookEasy", ["router", "sameForAll", "anybodyGetsIn"]],
    ["a symmetric NAT", { ...home, mapping: "addressAndPortDependent" }, "outlookSome", ["router", "perPort", "portsGetIn"]],
    ["one by computers", { ...home, mapping: "addressDependent" }, "outlookSome", ["router", "perComputer", "portsGetIn"]],
    ["no router", { ...home, translation: "absent", filtering: "endpointIndependent" }, "outlookEasy", ["open", "anybodyGetsIn"]],
    ["a firewall", { ...home, translation: "absent" }, "outlookMost", ["open", "portsGetIn"]],
    ["a home without a partner", { address: "public", translation: "present" }, undefined, ["router", "mappingUnknown", "filteringUnknown"]],
    ["UDP blocked from the start", { reachability: "restricted" }, "outlookTcp", []],
    ["UDP blocked after it was measured", { ...home, reachability: "restricted" }, "outlookTcp", ["router"]],
    ["a home at home", { ...home, address: "near", translation: "absent" }, undefined, ["near"]],
    ["nothing yet", {}, undefined, ["nothingKnown"]],
    ["a forwarded port before the rest", { portMapping: "198.51.100.3:9" }, undefined, ["nothingKnown", "forwardedUnproven"]],
    ["a forwarded port that was proven", { ...home, portMapping: "198.51.100.3:9", reachability: "public" }, "outlookMost", ["router", "sameForAll", "portsGetIn", "forwarded"]],
  ])("%s", (_, known, outlook, facts) => {
    const said = verdictOf(standing(known));
    expect([said.outlook?.what, said.facts.map((f) => f.what)]).toEqual([outlook, facts]);
  });

  test("every sentence has the date of what it is about, the outlook that of the oldest", () => {
    const { outlook, facts } = verdictOf(standing({ ...home, filtering: "addressDependent" }));
    expect(outlook?.measured).toBe(MAPPED);
    expect(facts.map((f) => f.measured)).toEqual([TRANSLATED, MAPPED, FILTERED]);
  });
});

describe("of all that can be known", () => {
  test("something is always said, and nothing twice", () => {
    isAll(saidWhere(() => true), (facts, outlook) => facts.length + (outlook ? 1 : 0) > 0 && new Set(facts).size === facts.length);
  });

  test("what was not measured has no date, and nothing else lacks one", () => {
    const undated: (Fact | Outlook)[] = ["nothingKnown", "mappingUnknown", "filteringUnknown", "forwarded", "forwardedUnproven", "outlookTcp"];
    for (const known of every) {
      const { outlook, facts } = verdictOf(standing(known));
      for (const { what, measured } of outlook ? [outlook, ...facts] : facts) {
        expect(measured === undefined, what).toBe(undated.includes(what));
      }
    }
  });

  test("where UDP is blocked nothing is said of how datagrams are treated", () => {
    isAll(saidWhere((k) => k.reachability === "restricted"), (facts, outlook) =>
      outlook === "outlookTcp" && facts.every((f) => ["near", "open", "router", "forwardedUnproven"].includes(f)),
    );
    isAll(saidWhere((k) => k.reachability !== "restricted"), (_, outlook) => outlook !== "outlookTcp");
  });

  test("a home that is near allows no word of the Internet", () => {
    isAll(saidWhere((k) => k.address === "near" && k.reachability !== "restricted"), (facts, outlook) =>
      outlook === undefined && facts.every((f) => ["near", "forwarded", "forwardedUnproven"].includes(f)),
    );
  });

  test("nobody is promised more than their mapping and filter allow", () => {
    isAll(saidWhere((k) => k.mapping !== undefined && k.mapping !== "endpointIndependent"), (facts, outlook) =>
      !facts.includes("open") && outlook !== "outlookEasy" && outlook !== "outlookMost",
    );
    isAll(saidWhere((k) => k.filtering === undefined || k.filtering === "addressAndPortDependent"), (_, outlook) => outlook !== "outlookEasy");
    isAll(saidWhere((k) => k.mapping === undefined && k.translation !== "absent"), (_, outlook) => outlook === undefined || outlook === "outlookTcp");
  });

  test("a forwarded port is said wherever there is one, and proven only where others got through", () => {
    isAll(saidWhere((k) => k.portMapping === undefined), (facts) => !facts.includes("forwarded") && !facts.includes("forwardedUnproven"));
    isAll(saidWhere((k) => k.portMapping !== undefined && k.reachability === "public"), (facts) => facts.at(-1) === "forwarded");
    isAll(saidWhere((k) => k.portMapping !== undefined && k.reachability !== "public"), (facts) => facts.at(-1) === "forwardedUnproven");
  });
});
