// What is going on at every company that the page can see: read once, then kept fresh by events. The only place that
// listens. Big tables are plain maps with a number that grows when they change: views draw them, they do not bind them.
import { Company } from '../api/client';
import type { LinkState, Message } from '../api/stream';
import type { Alarm, Car, Health, Hold, News, Point, Refused, Trip } from '../api/types';
import { Bounded } from './bounded';

const TRIPS_MAX = 500;
const SESSIONS_MAX = 500;
const CARS_MAX = 20_000;
const NEWS_MAX = 200;
/** How far ahead free windows are known to the page. */
const HORIZON_MS = 48 * 3_600_000;
const CHANGES_AFTER_MS = 700;
/** All is read again so often: states change with time alone, which no event tells. */
const REREAD_SMALL_MS = 15_000;
const REREAD_LARGE_MS = 120_000;
const LARGE = 2_000;

export interface Evse extends Omit<Point, 'livres'> {
  empresa: string;
  /** Free windows, [from, to) in milliseconds. */
  free: [number, number][];
}
export interface Station {
  key: string;
  empresa: string;
  id: string;
  name: string;
  city: string;
  state: string;
  latitude: number;
  longitude: number;
  zone: string;
  evses: Evse[];
}
export interface KnownCar {
  car: Car;
  /** Where it was before, and when (on this computer) it came: between the two it is drawn gliding. */
  from: [number, number];
  came: number;
}
/** What one company did in one session, with its own time. */
export interface Step {
  empresa: string;
  hold: Hold;
  at: string;
}
export interface Item {
  key: number;
  at: string;
  empresa: string;
  kind: 'trip' | 'refused' | 'peer' | 'alarm';
  trip?: Trip;
  refused?: Refused;
  peer?: { empresa: string; acessivel: boolean };
  alarm?: Alarm;
}

/** One company, as the page is connected to it. */
export class Link {
  state = $state<LinkState>('connecting');
  /** Since when the line is down, on this computer's clock. */
  downSince = $state<number | null>(null);
  missed = $state(0);
  health = $state<Health | null>(null);
  revision: number | undefined;

  constructor(
    readonly id: string,
    readonly name: string,
    readonly api: Company,
  ) {}
}

class Live {
  links = $state<Link[]>([]);
  ready = $state(false);
  news = $state.raw<Item[]>([]);

  stationsVersion = $state(0);
  carsVersion = $state(0);
  tripsVersion = $state(0);
  sessionsVersion = $state(0);

  readonly stations = new Map<string, Station>();
  readonly evses = new Map<string, Evse>();
  readonly cars = new Bounded<string, KnownCar>(CARS_MAX);
  readonly trips = new Bounded<string, Trip>(TRIPS_MAX);
  readonly sessions = new Bounded<string, Step[]>(SESSIONS_MAX);
  /** A car's latest trip that still counts. */
  readonly tripOf = new Bounded<string, string>(CARS_MAX);

  #count = 0;
  #dirty = new Set<Link>();
  private changes: ReturnType<typeof setTimeout> | undefined;
  #bumps = new Set<'cars' | 'trips' | 'sessions'>();
  private frame: ReturnType<typeof setTimeout> | undefined;

  async start(companies: Link[]): Promise<void> {
    this.links = companies;
    await Promise.all(
      companies.map(async (link) => {
        this.#listen(link);
        await this.#reread(link);
        void this.#rereadForEver(link);
      }),
    );
    this.ready = true;
  }

  link(id: string): Link | undefined {
    return this.links.find((link) => link.id === id);
  }

  nameOf(id: string): string {
    return this.link(id)?.name ?? id;
  }

  /** The place of a company among all, for its colour. */
  hue(id: string): number {
    const place = this.links.findIndex((link) => link.id === id);
    return place < 0 ? 5 : place % 6;
  }

  /** Somebody who answers: the given company if it does. */
  anyone(preferred?: string): Link | undefined {
    const up = this.links.filter((link) => link.state === 'live');
    return up.find((link) => link.id === preferred) ?? up[0] ?? this.links[0];
  }

  keep(trip: Trip): void {
    const known = this.trips.get(trip.viagem_id);
    // A trip booked by its stops comes back without the plan that the page knows.
    this.trips.set(trip.viagem_id, { ...trip, roteiro: trip.roteiro ?? known?.roteiro });
    if (trip.estado === 'confirmada') this.tripOf.set(trip.veiculo_id, trip.viagem_id);
    else if (this.tripOf.get(trip.veiculo_id) === trip.viagem_id) this.tripOf.delete(trip.veiculo_id);
    this.#bump('trips');
  }

  async #reread(link: Link): Promise<void> {
    link.revision = undefined;
    await Promise.allSettled([this.#readStations(link), this.#readCars(link), this.#readHealth(link)]);
  }

  async #rereadForEver(link: Link): Promise<void> {
    for (;;) {
      const pause = this.evses.size > LARGE ? REREAD_LARGE_MS : REREAD_SMALL_MS;
      await new Promise((resolve) => setTimeout(resolve, pause));
      // Nobody looks: nothing is asked.
      if (document.hidden) continue;
      link.revision = undefined;
      await Promise.allSettled([this.#readStations(link), this.#readHealth(link)]);
    }
  }

  async #readHealth(link: Link): Promise<void> {
    link.health = await link.api.health().catch(() => null);
  }

  async #readCars(link: Link): Promise<void> {
    for (const car of await link.api.cars()) this.#place(car);
    this.#bump('cars');
  }

  async #readStations(link: Link): Promise<void> {
    const now = Date.now();
    const [from, to] = [new Date(now).toISOString(), new Date(now + HORIZON_MS).toISOString()];
    const answer = await link.api.availability(from, to, link.revision);
    link.revision = answer.revision;
    for (const point of answer.points) this.#keepPoint(link.id, point);
    this.stationsVersion++;
  }

  #keepPoint(empresa: string, point: Point): void {
    const { livres, ...rest } = point;
    const free = livres.map(({ inicio, fim }): [number, number] => [Date.parse(inicio), Date.parse(fim)]);
    const evse: Evse = { ...rest, empresa, free };
    this.evses.set(`${empresa}/${point.ponto_id}`, evse);
    const key = `${empresa}/${point.estacao_id}`;
    const station = this.stations.get(key);
    if (!station) {
      this.stations.set(key, {
        key,
        empresa,
        id: point.estacao_id,
        name: point.nome,
        city: point.cidade,
        state: point.uf,
        latitude: point.latitude,
        longitude: point.longitude,
        zone: point.fuso,
        evses: [evse],
      });
      return;
    }
    const place = station.evses.findIndex((one) => one.ponto_id === point.ponto_id);
    if (place < 0) station.evses.push(evse);
    else station.evses[place] = evse;
  }

  #listen(link: Link): void {
    let wasLive = false;
    link.api.events({
      onMessage: (message) => this.#hear(link, message),
      onState: (state) => {
        link.state = state;
        if (state === 'live') {
          link.downSince = null;
          // What happened while nobody listened is read again.
          if (wasLive) void this.#reread(link);
          wasLive = true;
        } else link.downSince ??= Date.now();
      },
    });
  }

  #hear(link: Link, { event, data }: Message): void {
    if (event === 'perdidos') {
      link.missed += Number(data) || 0;
      this.#soon(link);
      return;
    }
    let news: News;
    try {
      news = JSON.parse(data) as News;
    } catch {
      return;
    }
    switch (news.evento) {
      case 'veiculo':
        this.#place(news.dados);
        this.#bump('cars');
        break;
      case 'viagem':
        this.keep(news.dados);
        this.#tell({ empresa: link.id, at: news.instante, kind: 'trip', trip: news.dados });
        break;
      case 'viagem-recusada':
        this.#tell({ empresa: link.id, at: news.instante, kind: 'refused', refused: news.dados });
        break;
      case 'reserva':
        this.#step({ empresa: link.id, hold: news.dados, at: news.instante });
        this.#soon(link);
        break;
      case 'empresa-parceira':
        this.#tell({ empresa: link.id, at: news.instante, kind: 'peer', peer: news.dados });
        break;
      case 'alarme':
        this.#tell({ empresa: link.id, at: news.instante, kind: 'alarm', alarm: news.dados });
        break;
    }
  }

  #place(car: Car): void {
    const known = this.cars.get(car.veiculo_id);
    // Every company hears every car.
    if (known && known.car.instante >= car.instante) return;
    const from: [number, number] = known
      ? [known.car.latitude, known.car.longitude]
      : [car.latitude, car.longitude];
    this.cars.set(car.veiculo_id, { car, from, came: performance.now() });
  }

  #step(step: Step): void {
    const steps = this.sessions.get(step.hold.sessao) ?? [];
    const last = steps.findLast((one) => one.empresa === step.empresa);
    if (last?.hold.estado === step.hold.estado) return;
    this.sessions.set(step.hold.sessao, [...steps, step]);
    this.#bump('sessions');
  }

  #tell(item: Omit<Item, 'key'>): void {
    this.news = [{ ...item, key: this.#count++ }, ...this.news.slice(0, NEWS_MAX - 1)];
  }

  // Many changes come together: they are asked for together.
  #soon(link: Link): void {
    this.#dirty.add(link);
    this.changes ??= setTimeout(() => {
      this.changes = undefined;
      const links = [...this.#dirty];
      this.#dirty.clear();
      for (const dirty of links) void this.#readStations(dirty).catch(() => undefined);
    }, CHANGES_AFTER_MS);
  }

  // Views are told at most ten times a second, however much happens.
  #bump(what: 'cars' | 'trips' | 'sessions'): void {
    this.#bumps.add(what);
    this.frame ??= setTimeout(() => {
      this.frame = undefined;
      if (this.#bumps.has('cars')) this.carsVersion++;
      if (this.#bumps.has('trips')) this.tripsVersion++;
      if (this.#bumps.has('sessions')) this.sessionsVersion++;
      this.#bumps.clear();
    }, 100);
  }
}

export const live = new Live();

/** Whether a car could charge there during the whole window. */
export function isFree(evse: Evse, window: { from: number; to: number }): boolean {
  if (evse.estado === 'inoperante') return false;
  return evse.free.some(([from, to]) => from <= window.from && to >= window.to);
}
