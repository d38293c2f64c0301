// The part of the agreed contract that the node does not generate yet; it goes when that is there.
import type { Device } from "./generated";

interface SettingsShape {
  appearance: "system" | "light" | "dark";
  language: "system" | "en" | "fi";
  notifyMessages: boolean;
  notifyCalls: boolean;
  notifyRequests: boolean;
  showPreview: boolean;
  sounds: boolean;
  ringVolume: number;
  closeToTray: boolean;
}

interface DevicesShape {
  microphones: Device[];
  speakers: Device[];
  chosen: { microphone: string; speaker: string; ringer: string };
}

declare module "./generated" {
  // eslint-disable-next-line @typescript-eslint/no-empty-object-type
  interface Settings extends SettingsShape {}
  interface PastCall {
    id: string;
    peer: string;
    direction: Direction;
    startedAt: number;
    talkedMs?: number;
    reason: EndReason;
    by: EndedBy;
  }
  interface Invited {
    reach: "thisComputer" | "localNetwork" | "everywhere";
  }
  interface Registered {
    recoveryKey: string;
  }
  interface Conversation {
    last?: Message;
  }
  interface Snapshot {
    settings: SettingsShape;
  }
  interface Methods {
    "network.start": { params: { name: string }; result: Invited };
    "settings.get": { params: Record<string, never>; result: SettingsShape };
    "settings.set": { params: Partial<SettingsShape>; result: SettingsShape };
    "audio.test": { params: { what: "off" | "meter" | "loop" | "ringer" }; result: Done };
    "call.history": { params: { before?: string; limit: number }; result: { calls: PastCall[]; more: boolean } };
  }
  interface Events {
    settingsChanged: { settings: SettingsShape };
    audioDevicesChanged: { devices: DevicesShape };
  }
}
