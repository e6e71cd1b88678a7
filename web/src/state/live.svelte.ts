// What is going on at every company that the page can see: read once, then kept fresh by events. The only place that
// listens. Big tables are plain maps with a number that grows when they change: views draw them, they do not bind them.
import type { Company } from '../api/client';
import type { LinkState, Message, Stream } from '../api/stream';
import type { Alarm, Car, Hold, ListedStation, News, Point, PointState, Refused, Trip } from '../api/types';
import { Bounded } from './bounded';
import { zoneOfState } from './zones';

const TRIPS_MAX = 500;
const SESSIONS_MAX = 500;
const CARS_MAX = 20_000;
const NEWS_MAX = 200;
const CHANGES_AFTER_MS = 400;
/** More changed stations than these are read all together. */
const CHANGES_MAX = 12;
/** All is read again so often: states change with time alone, which no event tells. */
const REREAD_SMALL_MS = 15_000;
const REREAD_LARGE_MS = 90_000;
const LARGE = 2_000;
const MINUTE_MS = 60_000;
/** Nobody waits longer for a company that does not answer. */
const LATE_MS = 3_000;
const TYPES = 'viagem,viagem-recusada,reserva,empresa-parceira,alarme,ponto';

export interface Period {
  from: number;
  to: number;
}
export interface Evse {
  id: string;
  plugs: string[];
  /** Of its strongest connector, in kW. */
  power: number;
  price: number;
  fee: number;
  state: PointState;
  /** In the whole chosen window. */
  isFree: boolean;
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
  /** Its company does not answer: what is said of its EVSEs was so once. */
  isSilent?: boolean;
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
  /** On this page's clock. */
  heard: number;
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
  stream: Stream | undefined;

  constructor(
    readonly id: string,
    readonly name: string,
    readonly api: Company,
  ) {}
}

class Live {
  links = $state.raw<Link[]>([]);
  news = $state.raw<Item[]>([]);
  /** Whose stream brings the cars: every company hears all of them. */
  #carsFrom: Link | undefined;

  stationsVersion = $state(0);
  carsVersion = $state(0);
  tripsVersion = $state(0);
  /** The trips of before this page are known. */
  hasReadTrips = $state(false);
  sessionsVersion = $state(0);
  /** Grows with what happens to each company's holds: what its calendar shows is old. */
  changes = $state<Record<string, number>>({});

  readonly stations = new Map<string, Station>();
  /** Of an EVSE's company and id, the station. */
  readonly stationOf = new Map<string, Station>();
  readonly cars = new Bounded<string, KnownCar>(CARS_MAX);
  readonly trips = new Bounded<string, Trip>(TRIPS_MAX);
  readonly sessions = new Bounded<string, Step[]>(SESSIONS_MAX);
  /** A car's latest trip that still counts. */
  readonly tripOf = new Bounded<string, string>(CARS_MAX);

  #window: Period = { from: Date.now(), to: Date.now() + 40 * MINUTE_MS };
  #mayRead = false;
  #count = 0;
  #changed = new Map<string, { link: Link; station: Station }>();
  #unknown = false;
  private reading: ReturnType<typeof setTimeout> | undefined;
  #bumps = new Set<'cars' | 'trips' | 'sessions'>();
  private bumping: ReturnType<typeof setTimeout> | undefined;

  /** Begins to listen. Without the right to read, only what is open to everybody is there. */
  start(companies: Link[], mayRead: boolean): void {
    this.links = companies;
    this.#mayRead = mayRead;
    this.#carsFrom = companies[0];
    const read = companies.map((link) => {
      this.#listen(link);
      return this.#readTrips(link);
    });
    const late = new Promise((resolve) => setTimeout(resolve, LATE_MS));
    void Promise.race([Promise.all(read), late]).then(() => {
      this.tripsVersion++;
      this.hasReadTrips = true;
    });
    void this.#readCars();
    void this.#rereadForEver();
  }

  /** The window in which a car would charge; whole minutes, so that the same question has the same address. */
  choose({ from, to }: Period): void {
    const start = Math.ceil(from / MINUTE_MS) * MINUTE_MS;
    const window = { from: start, to: start + to - from };
    if (window.from === this.#window.from && window.to === this.#window.to) return;
    this.#window = window;
    this.#unknown = true;
    this.#soon();
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

  /** Somebody who answers: the given company if it does, and not the one that is known not to. */
  anyone(preferred?: string, silent?: string): Link | undefined {
    const up = this.links.filter((link) => link.state === 'live' && link.id !== silent);
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

  async #rereadForEver(): Promise<void> {
    for (;;) {
      await this.#readStations().catch(() => undefined);
      const pause = this.stations.size > LARGE ? REREAD_LARGE_MS : REREAD_SMALL_MS;
      await new Promise((resolve) =>
        setTimeout(resolve, this.stations.size === 0 ? CHANGES_AFTER_MS * 5 : pause),
      );
      // Nobody looks: nothing is asked.
      while (document.hidden) await new Promise((resolve) => setTimeout(resolve, CHANGES_AFTER_MS));
    }
  }

  async #readTrips(link: Link): Promise<void> {
    if (!this.#mayRead) return;
    const trips = await link.api.trips().catch(() => []);
    for (const trip of trips.reverse()) this.keep(trip);
  }

  async #readCars(): Promise<void> {
    const cars = (await this.#carsFrom?.api.cars().catch(() => [])) ?? [];
    for (const car of cars) this.#place(car);
    this.#bump('cars');
  }

  async #readStations(): Promise<void> {
    const { from, to } = this.#window;
    const link = this.anyone();
    if (!link) return;
    const listed = this.#mayRead
      ? await link.api.stations(from, to)
      : asStations(link.id, await link.api.points(from, to), { from, to });
    // The window was moved meanwhile: what came is the answer to an old question.
    if (from !== this.#window.from || to !== this.#window.to) return;
    for (const station of listed) this.#keepStation(station);
    this.stationsVersion++;
  }

  async #readStation({ api }: Link, station: Station): Promise<void> {
    const { pontos } = await api.station(station.empresa, station.id);
    const [listed] = asStations(station.empresa, pontos, this.#window);
    if (listed) this.#keepStation(listed);
  }

  #keepStation(listed: ListedStation): void {
    const key = `${listed.empresa}/${listed.estacao_id}`;
    const station: Station = {
      key,
      empresa: listed.empresa,
      id: listed.estacao_id,
      name: listed.nome,
      city: listed.cidade,
      state: listed.uf,
      latitude: listed.latitude,
      longitude: listed.longitude,
      zone: listed.fuso ?? zoneOfState(listed.uf),
      evses: listed.pontos.map((point) => ({
        id: point.ponto_id,
        plugs: point.plugues,
        power: point.potencia_kw,
        price: point.preco_kwh,
        fee: point.taxa_ativacao,
        state: point.estado,
        isFree: point.livre && point.estado !== 'inoperante',
      })),
    };
    this.stations.set(key, station);
    for (const { id } of station.evses) this.stationOf.set(`${station.empresa}/${id}`, station);
  }

  #listen(link: Link): void {
    const path = () => (link === this.#carsFrom ? 'eventos' : `eventos?tipos=${TYPES}`);
    link.stream = link.api.follow(path, {
      onMessage: (message) => this.#hear(link, message),
      onState: (state) => {
        link.state = state;
        if (state === 'live') {
          link.downSince = null;
          this.#unknown = true;
          this.#soon();
          return;
        }
        if (state !== 'waiting') return;
        link.downSince ??= Date.now();
        if (link === this.#carsFrom) this.#takeCarsElsewhere();
      },
    });
  }

  #takeCarsElsewhere(): void {
    const other = this.links.find(({ state }) => state === 'live');
    if (!other) return;
    this.#carsFrom = other;
    other.stream?.restart();
    void this.#readCars();
  }

  #hear(link: Link, { event, data }: Message): void {
    if (event === 'perdidos') {
      // Without a number the program was started anew: nothing that was heard tells what is.
      link.missed += Number(data) || 0;
      void this.#readTrips(link);
      void this.#readCars();
      this.#unknown = true;
      this.#soon();
      this.#touch(link);
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
        this.#step({ empresa: link.id, hold: news.dados, at: news.instante, heard: performance.now() });
        for (const point of news.dados.pontos) this.#change(link, point);
        this.#touch(link);
        break;
      case 'ponto':
        this.#change(link, news.dados.ponto_id);
        this.#touch(link);
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

  #touch(link: Link): void {
    this.changes[link.id] = (this.changes[link.id] ?? 0) + 1;
  }

  #change(link: Link, point: string): void {
    const station = this.stationOf.get(`${link.id}/${point}`);
    if (!station) return;
    if (this.#changed.size > CHANGES_MAX) this.#unknown = true;
    else this.#changed.set(station.key, { link, station });
    this.#soon();
  }

  // Many changes come together: they are asked for together.
  #soon(): void {
    this.reading ??= setTimeout(() => {
      const changed = [...this.#changed.values()];
      const all = this.#unknown;
      this.#changed.clear();
      this.#unknown = false;
      const reads =
        all || !this.#mayRead
          ? [this.#readStations()]
          : changed.map((one) => this.#readStation(one.link, one.station));
      void Promise.allSettled(reads).then(() => {
        this.reading = undefined;
        this.stationsVersion++;
        // What came meanwhile.
        if (this.#unknown || this.#changed.size > 0) this.#soon();
      });
    }, CHANGES_AFTER_MS);
  }

  // Views are told at most ten times a second, however much happens.
  #bump(what: 'cars' | 'trips' | 'sessions'): void {
    this.#bumps.add(what);
    this.bumping ??= setTimeout(() => {
      this.bumping = undefined;
      if (this.#bumps.has('cars')) this.carsVersion++;
      if (this.#bumps.has('trips')) this.tripsVersion++;
      if (this.#bumps.has('sessions')) this.sessionsVersion++;
      this.#bumps.clear();
    }, 100);
  }
}

export const live = new Live();

/** EVSEs as everybody may see them, put together by station. */
export function asStations(empresa: string, points: Point[], window: Period): ListedStation[] {
  const stations = new Map<string, ListedStation>();
  for (const point of points) {
    const { estacao_id, nome, cidade, uf, latitude, longitude, fuso } = point;
    let station = stations.get(estacao_id);
    if (!station) {
      station = {
        empresa,
        estacao_id,
        nome,
        cidade,
        uf,
        latitude,
        longitude,
        pontos: [],
        ...(fuso && { fuso }),
      };
      stations.set(estacao_id, station);
    }
    station.pontos.push({
      ponto_id: point.ponto_id,
      plugues: [...new Set(point.conectores.map(({ plugue }) => plugue))],
      potencia_kw: Math.max(0, ...point.conectores.map(({ potencia_kw }) => potencia_kw)),
      preco_kwh: point.preco_kwh,
      taxa_ativacao: point.taxa_ativacao,
      estado: point.estado,
      livre: isFreeIn(point, window),
    });
  }
  return [...stations.values()];
}

function isFreeIn({ livres }: Point, { from, to }: Period): boolean {
  return livres.some(({ inicio, fim }) => Date.parse(inicio) <= from && Date.parse(fim) >= to);
}
