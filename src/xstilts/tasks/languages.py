"""Every language the tasks know: one registry, keyed by ISO 639-3 code and ISO 15924 script.

Keys are FLORES-200's where it has the language (`swh_Latn`, `arb_Arab`, `zho_Hans`), because a bare code is
ambiguous: datasets write the same Swahili as sw, swa and swh. Sources: ISO 639; families and genera after
WALS and Glottolog; XLM-R's pretraining languages from its release notes (Conneau et al. 2020). `region` is where
most native speakers live.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from xstilts.core.errors import UserError, did_you_mean

_TABLE = """
# key     name               codes       family         genus         region          in XLM-R
afr_Latn  Afrikaans          af          Indo-European  Germanic      Africa          yes
amh_Ethi  Amharic            am          Afro-Asiatic   Semitic       Africa          yes
arb_Arab  Arabic             ar,ara      Afro-Asiatic   Semitic       Middle-East     yes
ary_Arab  Moroccan-Arabic    -           Afro-Asiatic   Semitic       Africa          no
arz_Arab  Egyptian-Arabic    -           Afro-Asiatic   Semitic       Africa          no
azj_Latn  Azerbaijani        az,aze      Turkic         Turkic        Middle-East     yes
bam_Latn  Bambara            bm          Mande          Mande         Africa          no
bbj_Latn  Ghomala            -           Niger-Congo    Bantoid       Africa          no
bem_Latn  Bemba              -           Niger-Congo    Bantoid       Africa          no
ben_Beng  Bengali            bn          Indo-European  Indic         South-Asia      yes
bul_Cyrl  Bulgarian          bg          Indo-European  Slavic        Europe          yes
deu_Latn  German             de          Indo-European  Germanic      Europe          yes
ell_Grek  Greek              el          Indo-European  Greek         Europe          yes
eng_Latn  English            en          Indo-European  Germanic      Europe          yes
est_Latn  Estonian           et,ekk      Uralic         Finnic        Europe          yes
eus_Latn  Basque             eu          Basque         Basque        Europe          yes
ewe_Latn  Ewe                ee          Niger-Congo    Kwa           Africa          no
fin_Latn  Finnish            fi          Uralic         Finnic        Europe          yes
fon_Latn  Fon                -           Niger-Congo    Kwa           Africa          no
fra_Latn  French             fr          Indo-European  Romance       Europe          yes
fuc_Latn  Pulaar             -           Niger-Congo    Atlantic      Africa          no
fuv_Latn  Nigerian-Fulfulde  -           Niger-Congo    Atlantic      Africa          no
gaz_Latn  Oromo              om,orm      Afro-Asiatic   Cushitic      Africa          yes
guj_Gujr  Gujarati           gu          Indo-European  Indic         South-Asia      yes
hat_Latn  Haitian-Creole     ht          Creole         French-based  Americas        no
hau_Latn  Hausa              ha          Afro-Asiatic   Chadic        Africa          yes
heb_Hebr  Hebrew             he,iw       Afro-Asiatic   Semitic       Middle-East     yes
hin_Deva  Hindi              hi          Indo-European  Indic         South-Asia      yes
hun_Latn  Hungarian          hu          Uralic         Ugric         Europe          yes
ibo_Latn  Igbo               ig          Niger-Congo    Igboid        Africa          no
ind_Latn  Indonesian         id          Austronesian   Malayic       Southeast-Asia  yes
ita_Latn  Italian            it          Indo-European  Romance       Europe          yes
jav_Latn  Javanese           jv          Austronesian   Javanese      Southeast-Asia  yes
jpn_Jpan  Japanese           ja          Japonic        Japanese      East-Asia       yes
kat_Geor  Georgian           ka          Kartvelian     Kartvelian    Middle-East     yes
kaz_Cyrl  Kazakh             kk          Turkic         Turkic        Central-Asia    yes
kea_Latn  Kabuverdianu       -           Creole         Portuguese-based  Africa      no
kin_Latn  Kinyarwanda        rw          Niger-Congo    Bantoid       Africa          no
kor_Hang  Korean             ko          Koreanic       Korean        East-Asia       yes
lin_Latn  Lingala            ln          Niger-Congo    Bantoid       Africa          no
lit_Latn  Lithuanian         lt          Indo-European  Baltic        Europe          yes
lug_Latn  Luganda            lg          Niger-Congo    Bantoid       Africa          no
luo_Latn  Luo                -           Nilo-Saharan   Nilotic       Africa          no
mal_Mlym  Malayalam          ml          Dravidian      Dravidian     South-Asia      yes
mar_Deva  Marathi            mr          Indo-European  Indic         South-Asia      yes
mos_Latn  Mossi              -           Niger-Congo    Gur           Africa          no
mya_Mymr  Burmese            my          Sino-Tibetan   Burmese-Lolo  Southeast-Asia  yes
nde_Latn  North-Ndebele      nd          Niger-Congo    Bantoid       Africa          no
nld_Latn  Dutch              nl          Indo-European  Germanic      Europe          yes
nso_Latn  Northern-Sotho     -           Niger-Congo    Bantoid       Africa          no
nya_Latn  Chichewa           ny          Niger-Congo    Bantoid       Africa          no
pan_Guru  Punjabi            pa          Indo-European  Indic         South-Asia      yes
pcm_Latn  Nigerian-Pidgin    -           Creole         English-based Africa          no
pes_Arab  Persian            fa,fas      Indo-European  Iranian       Middle-East     yes
plt_Latn  Malagasy           mg,mlg      Austronesian   Barito        Africa          yes
pol_Latn  Polish             pl          Indo-European  Slavic        Europe          yes
por_Latn  Portuguese         pt          Indo-European  Romance       Europe          yes
que_Latn  Quechua            qu          Quechuan       Quechuan      Americas        no
ron_Latn  Romanian           ro          Indo-European  Romance       Europe          yes
rus_Cyrl  Russian            ru          Indo-European  Slavic        Europe          yes
sna_Latn  Shona              sn          Niger-Congo    Bantoid       Africa          no
som_Latn  Somali             so          Afro-Asiatic   Cushitic      Africa          yes
sot_Latn  Sesotho            st          Niger-Congo    Bantoid       Africa          no
spa_Latn  Spanish            es          Indo-European  Romance       Europe          yes
ssw_Latn  Swati              ss          Niger-Congo    Bantoid       Africa          no
swh_Latn  Swahili            sw,swa      Niger-Congo    Bantoid       Africa          yes
tam_Taml  Tamil              ta          Dravidian      Dravidian     South-Asia      yes
tel_Telu  Telugu             te          Dravidian      Dravidian     South-Asia      yes
tgl_Latn  Tagalog            tl,fil      Austronesian   Philippine    Southeast-Asia  yes
tha_Thai  Thai               th          Tai-Kadai      Tai           Southeast-Asia  yes
tir_Ethi  Tigrinya           ti          Afro-Asiatic   Semitic       Africa          no
tsn_Latn  Setswana           tn          Niger-Congo    Bantoid       Africa          no
tso_Latn  Tsonga             ts          Niger-Congo    Bantoid       Africa          no
tur_Latn  Turkish            tr          Turkic         Turkic        Middle-East     yes
twi_Latn  Twi                tw,aka      Niger-Congo    Kwa           Africa          no
ukr_Cyrl  Ukrainian          uk          Indo-European  Slavic        Europe          yes
urd_Arab  Urdu               ur          Indo-European  Indic         South-Asia      yes
ven_Latn  Venda              ve          Niger-Congo    Bantoid       Africa          no
vie_Latn  Vietnamese         vi          Austroasiatic  Viet-Muong    Southeast-Asia  yes
wol_Latn  Wolof              wo          Niger-Congo    Atlantic      Africa          no
xho_Latn  Xhosa              xh          Niger-Congo    Bantoid       Africa          yes
yor_Latn  Yoruba             yo          Niger-Congo    Defoid        Africa          no
zho_Hans  Chinese            zh,cmn      Sino-Tibetan   Chinese       East-Asia       yes
zsm_Latn  Malay              ms,msa      Austronesian   Malayic       Southeast-Asia  yes
zul_Latn  Zulu               zu          Niger-Congo    Bantoid       Africa          no
"""


@dataclass(frozen=True, slots=True)
class Language:
    key: str
    """ISO 639-3 code and ISO 15924 script: `swh_Latn`."""
    name: str
    codes: tuple[str, ...]
    """Other codes of the same language: ISO 639-1 first where there is one, then macrolanguage and legacy codes."""
    family: str
    genus: str
    region: str
    in_xlmr: bool
    """Whether XLM-R was pretrained on it."""

    @property
    def iso3(self) -> str:
        """ISO 639-3 code: `swh`."""
        return self.key[:3]

    @property
    def iso1(self) -> str | None:
        """ISO 639-1 code, None where there is none."""
        return next((code for code in self.codes if len(code) == 2), None)

    @property
    def script(self) -> str:
        """ISO 15924 script: `Latn`."""
        return self.key[4:]


ENGLISH = "eng_Latn"


def _parse(line: str) -> Language:
    key, name, codes, family, genus, region, in_xlmr = line.split()
    return Language(
        key=key,
        name=name.replace("-", " "),
        codes=() if codes == "-" else tuple(codes.split(",")),
        family=family,
        genus=genus,
        region=region.replace("-", " "),
        in_xlmr=in_xlmr == "yes",
    )


_LANGUAGES = {
    language.key: language
    for language in (_parse(line) for line in _TABLE.strip().splitlines() if not line.startswith("#"))
}
_BY_WORD = {
    word.lower(): language
    for language in _LANGUAGES.values()
    for word in (language.key, language.iso3, language.name, *language.codes)
}
_PRIVATE_USE = re.compile(r"(q[a-t][a-z])_([A-Z][a-z]{3})")


def all_languages() -> tuple[Language, ...]:
    """All natural languages of the registry, sorted by key."""
    return tuple(_LANGUAGES.values())


def find_language(name_or_code: str) -> Language:
    """The language of a key, an ISO code, a macrolanguage code or an English name; letter case is ignored.

    A private-use key (`qaa_Latn` to `qtz_Latn`, ISO 639-2) is an artificial language, made on the fly.

    Raises:
        UserError: nothing is known by that word; the nearest known word is named.
    """
    if private := _PRIVATE_USE.fullmatch(name_or_code):
        return Language(
            name_or_code, f"Artificial {private[1]}", (), "Artificial", "Artificial", "Nowhere", in_xlmr=False
        )
    language = _BY_WORD.get(name_or_code.lower())
    if language is None:
        words = (word for known in _LANGUAGES.values() for word in (known.key, known.name, known.iso3))
        raise UserError(f"unknown language '{name_or_code}'; {did_you_mean(name_or_code, words)}")
    return language


def codes_iso1(words: str | Iterable[str]) -> dict[str, str]:
    """Language key -> ISO 639-1 code, in the order of `words`: the codes of most datasets."""
    languages = [find_language(word) for word in (words.split() if isinstance(words, str) else words)]
    return {language.key: language.iso1 or language.iso3 for language in languages}


def translated_into(keys: Iterable[str]) -> dict[str, str]:
    """Language key -> ISO 639-1 code, without English: languages of XTREME's translations of training text."""
    return codes_iso1(key for key in keys if key != ENGLISH)


def codes_iso3(keys: Iterable[str], **own: str) -> dict[str, str]:
    """Language key -> ISO 639-3 code, in the order of `keys`; `own` (`swh="swa"`) are the dataset's deviations."""
    return {key: own.get(key[:3], key[:3]) for key in keys}


def codes_as_written(words: str) -> dict[str, str]:
    """Language key -> the word itself, in order: datasets with codes of their own (`swa`, `arb`, `sna-Latn`)."""
    return {find_language(word.split("-")[0]).key: word for word in words.split()}
