// What a person has set, with what holds where a node says nothing. Pure.
import type { Settings as Told } from "../backend/generated";

export type Settings = Required<Told>;

const USUAL: Settings = {
  appearance: "system",
  language: "system",
  notifyMessages: true,
  notifyCalls: true,
  notifyRequests: true,
  showPreview: true,
  sounds: true,
  ringVolume: 80,
  closeToTray: true,
};

export const whole = (told: Told): Settings => ({ ...USUAL, ...told });
