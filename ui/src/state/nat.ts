// What the NAT before this computer means for its owner, said so that no sentence can be wrong. Pure.
//
// Which calls go directly: RFC 5128, section 3.3, over the behaviours of RFC 4787. Who is seen at one address
// by everybody gets through to all who are too; what is left is decided by who lets in whom.
import type { Filtering, Mapping, Nat, Standing } from "../backend/generated";

/** How calls will go. */
export type Outlook = "outlookEasy" | "outlookMost" | "outlookSome" | "outlookTcp";

/** What is so, or is not known. */
export type Fact =
  | "nothingKnown"
  | "near"
  | "open"
  | "router"
  | "sameForAll"
  | "perComputer"
  | "perPort"
  | "mappingUnknown"
  | "anybodyGetsIn"
  | "computersGetIn"
  | "portsGetIn"
  | "filteringUnknown"
  | "forwarded"
  | "forwardedUnproven";

/** A sentence, and when that was measured, where it was. */
export interface Said<T> {
  what: T;
  measured?: number;
}

export interface Verdict {
  outlook?: Said<Outlook>;
  facts: Said<Fact>[];
}

const MAPPINGS: Record<Mapping, Fact> = {
  endpointIndependent: "sameForAll",
  addressDependent: "perComputer",
  addressAndPortDependent: "perPort",
};

const FILTERINGS: Record<Filtering, Fact> = {
  endpointIndependent: "anybodyGetsIn",
  addressDependent: "computersGetIn",
  addressAndPortDependent: "portsGetIn",
};

/** The verdict on the network that a node stands in so. */
export function verdictOf({ nat, reachability, portMapping }: Standing): Verdict {
  const isBlocked = reachability === "restricted";
  const outlook: Said<Outlook> | undefined = isBlocked ? { what: "outlookTcp" } : nat && outlookOf(nat);
  const facts = nat ? factsOf(nat, isBlocked) : [];
  // Where UDP is blocked that is known.
  if (!nat && !isBlocked) facts.push({ what: "nothingKnown" });
  if (portMapping !== undefined) facts.push({ what: reachability === "public" ? "forwarded" : "forwardedUnproven" });
  return outlook ? { outlook, facts } : { facts };
}

/** A home that is near sees nothing of what the Internet sees. */
const isNear = ({ address }: Nat) => address !== undefined && !address.isPublic;

/** Without a NAT all see the same; unless they were seen to see something else. */
const isWithout = ({ translation, mapping }: Nat) =>
  translation?.what === "absent" && (mapping === undefined || mapping.what === "endpointIndependent");

function outlookOf(nat: Nat): Said<Outlook> | undefined {
  const { translation, mapping, filtering } = nat;
  const sameForAll = mapping ?? (isWithout(nat) ? translation : undefined);
  if (isNear(nat) || !sameForAll) return undefined;
  if (mapping && mapping.what !== "endpointIndependent") return { what: "outlookSome", measured: mapping.measured };
  if (!filtering || filtering.what === "addressAndPortDependent") {
    return { what: "outlookMost", measured: sameForAll.measured };
  }
  return { what: "outlookEasy", measured: Math.min(sameForAll.measured, filtering.measured) };
}

function factsOf(nat: Nat, isBlocked: boolean): Said<Fact>[] {
  const { address, translation, mapping, filtering } = nat;
  if (address && isNear(nat)) return [{ what: "near", measured: address.measured }];
  const facts: Said<Fact>[] = [];
  if (translation?.what === "present") facts.push({ what: "router", measured: translation.measured });
  if (translation && isWithout(nat)) facts.push({ what: "open", measured: translation.measured });
  // How datagrams are treated is past where none gets through any more.
  if (isBlocked) return facts;
  if (!isWithout(nat)) facts.push(mapping ? { what: MAPPINGS[mapping.what], measured: mapping.measured } : { what: "mappingUnknown" });
  facts.push(filtering ? { what: FILTERINGS[filtering.what], measured: filtering.measured } : { what: "filteringUnknown" });
  return facts;
}
