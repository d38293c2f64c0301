// The rules of user names (RFC 8265), told while one types. The node decides; this only warns early. Pure.
import type { NameRule } from "../backend/generated";
import { bytesOf } from "./plain";

export const NAME_MIN = 3;
export const NAME_MAX = 32;
export const PASSWORD_MIN = 8;

/** As the node will prepare it: wide letters narrow, capitals small, composed. */
export const preparedName = (typed: string): string =>
  typed.replace(/[\uff01-\uff5e]/g, (c) => c.normalize("NFKC")).toLowerCase().normalize("NFC");

/** Bytes of UTF-8 that people may be sought by (docs/rpc.md, search). */
const SOUGHT_MAX = 256;

/** Whether people can be sought by this: at least two letters or digits that stand together. */
export const canSeek = (typed: string): boolean =>
  /[\p{L}\p{N}]\p{M}*[\p{L}\p{N}]/u.test(typed) && bytesOf(typed) <= SOUGHT_MAX;

/** The rule that a name breaks; nothing when it may be one. */
export function nameProblem(typed: string): NameRule | undefined {
  const name = preparedName(typed);
  if (/[^\p{L}\p{M}\p{Nd}\u0021-\u007e·\u0375\u05f3\u05f4\u30fb\u200c\u200d]/u.test(name)) return "forbidden";
  const length = [...name].length;
  if (length < NAME_MIN) return "tooShort";
  if (length > NAME_MAX) return "tooLong";
  return undefined;
}
