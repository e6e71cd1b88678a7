// What the map shows: which stations, and for which window. Kept while other views are open.
import { recall, remember } from './memory';
import type { Evse, Station } from './live.svelte';

const HOUR_MS = 3_600_000;

class Filter {
  /** Hours from now, and how long a car stays. */
  inHours = $state(0);
  minutes = $state(40);
  company = $state('');
  plug = $state('');
  power = $state(0);
  state = $state('');
  cars = $state(recall('cars') !== 'no');
  legs = $state(recall('legs') === 'yes');
  #now = $state(Date.now());

  constructor() {
    setInterval(() => (this.#now = Date.now()), 30_000);
  }

  get window(): { from: number; to: number } {
    const from = this.#now + this.inHours * HOUR_MS;
    return { from, to: from + this.minutes * 60_000 };
  }

  remember(): void {
    remember('cars', this.cars ? 'yes' : 'no');
    remember('legs', this.legs ? 'yes' : 'no');
  }

  /** The station with those of its EVSEs that fit; nothing if none does. */
  fitting(station: Station): Station | undefined {
    if (this.company && station.empresa !== this.company) return undefined;
    if (this.state && station.state !== this.state) return undefined;
    if (!this.plug && !this.power) return station;
    const evses = station.evses.filter((evse) => this.#fits(evse));
    return evses.length > 0 ? { ...station, evses } : undefined;
  }

  #fits({ plugs, power }: Evse): boolean {
    return (!this.plug || plugs.includes(this.plug)) && power >= this.power;
  }
}

export const filter = new Filter();
