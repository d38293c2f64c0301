// Who is reached on the local network, where the network does not bring one together. Pure.
import type { Nearby, Standing } from "../backend/generated";

/** Everybody near by once, however many devices they have there; who was there first comes first. */
export function neighbours({ nearby = [] }: Standing): Nearby[] {
  const people = new Map<string, Nearby>();
  for (const device of nearby) {
    const other = people.get(device.user) ?? device;
    people.set(device.user, {
      user: device.user,
      since: Math.min(other.since, device.since),
      certificateUntil: Math.min(other.certificateUntil, device.certificateUntil),
    });
  }
  return [...people.values()].sort((a, b) => a.since - b.since || (a.user < b.user ? -1 : 1));
}

export const isNear = ({ nearby = [] }: Standing, user: string): boolean =>
  nearby.some((device) => device.user === user);

/** Whether a certificate has ended; of one that nobody told of it is not known. */
export const hasEnded = (until: number | undefined, now: number): until is number =>
  until !== undefined && until <= now;
